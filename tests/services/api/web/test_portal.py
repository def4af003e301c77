import hashlib
import json
from datetime import UTC, date, datetime, timedelta

from rapport.kit.text import web_address
from services.api.web import wording
from services.api.web.frame import STATIC


def test_vendored_files_are_what_their_versions_published() -> None:
    vendored = STATIC / "vendor"
    listed = json.loads((vendored / "vendor.json").read_text())
    assert {each["file"] for each in listed} == {
        path.name for path in vendored.iterdir() if path.suffix in (".js", ".css")
    }
    for each in listed:
        assert hashlib.sha256((vendored / each["file"]).read_bytes()).hexdigest() == each["sha256"], each["file"]


def test_only_addresses_of_the_web_become_links() -> None:
    assert web_address("https://example.org") == "https://example.org"
    for hostile in (None, "", "javascript:alert(1)", "JAVASCRIPT:x", "data:text/html,x", " https://x", "//x"):
        assert web_address(hostile) is None


def test_times_and_shares_are_said_in_words() -> None:
    now = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    assert wording.until(now + timedelta(hours=3, minutes=12, seconds=5), now) == "in 3 h 12 min"
    assert wording.until(now - timedelta(seconds=65), now) == "1 min 5 s overdue"
    # Beside "6 h 7 min", "6 h 10 s" would be read as minutes.
    assert wording.until(now + timedelta(hours=6, seconds=10), now) == "in 6 h"
    assert wording.until(now + timedelta(days=2, minutes=5), now) == "in 2 d"
    assert wording.ago(now, now) == "just now"
    assert wording.ago(now - timedelta(days=3, hours=5), now) == "3 d ago"
    assert wording.moment(now, "Europe/Berlin", now) == "Mon 23 Nov, 19:00"
    assert wording.moment(now - timedelta(days=365), "Europe/Berlin", now) == "Sun 23 Nov 2025, 19:00"
    # In Auckland the new year has begun.
    eve = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
    assert wording.moment(eve, "Europe/Lisbon", eve + timedelta(seconds=1)) == "Thu 31 Dec, 23:00"
    assert wording.moment(now, "Pacific/Auckland", eve) == "Tue 24 Nov 2026, 07:00"
    assert wording.weekday(date(2027, 1, 1), date(2026, 12, 31)) == "Fri 1 Jan 2027"
    assert wording.percent(0.999) == "99 %"
    assert wording.percent(None) == "–"
    assert wording.initials("  ada  lovelace king") == "AL"
    assert wording.initials("🙂") == "?"


def test_what_an_alert_told_is_said_in_a_sentence_and_that_it_is_unconfirmed_in_another() -> None:
    due = datetime(2025, 11, 23, 18, 0, tzinfo=UTC)
    later = due + timedelta(hours=2)
    assert (
        wording.alert_said("breach", due, due, False, "Europe/Berlin") == "Nobody answered by Sun 23 Nov 2025, 19:00."
    )
    assert wording.alert_said("escalation", later, due, True, "UTC") == (
        "Nobody answered within 2 h after it was due. "
        "Some data from the platform was missing, so there may be an answer."
    )
    assert {wording.alert_said(step, due, due, False, "UTC")[-1] for step in wording.STEPS} == {"."}


def test_what_was_done_and_taken_back_reads_as_a_sentence() -> None:
    assert wording.did("follow") == "followed"
    assert wording.did("follow", undo=True) == "took back: followed"
    assert wording.did("block") == "was blocked by the brand"
    assert wording.did("block", undo=True) == "is no longer blocked by the brand"
