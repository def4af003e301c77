"""What a connector remembers."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.ingest.connectors.ledger import KEPT, Ledger, Seen

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SEEN = Seen("at://a/b/c", "acme", "comment", "acme:fan", "thread", None, "fan", None, "rev1")


def test_position_and_what_was_seen_survive_a_restart(tmp_path: Path) -> None:
    first = Ledger(tmp_path / "new" / "ledger.sqlite")
    first.keep("stream", 7, [SEEN], NOW)
    first.join("stream", ["acme"], None)
    first.close()
    second = Ledger(tmp_path / "new" / "ledger.sqlite")
    assert (second.position("stream"), second.find(SEEN.uri)) == (7, [SEEN])
    assert second.joined("stream") == {"acme"}
    assert second.position("other") is None
    second.close()


def test_both_are_kept_or_neither(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    broken = Seen("at://a/b/d", "acme", "comment", None, None, None, "fan", None, "rev")  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        ledger.keep("stream", 7, [SEEN, broken], NOW)
    assert (ledger.position("stream"), ledger.find(SEEN.uri)) == (None, [])
    ledger.keep("stream", 8, [SEEN], NOW)
    assert ledger.position("stream") == 8
    ledger.close()


def test_what_stands_is_kept_and_what_was_deleted_is_forgotten_after_90_days(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.keep("stream", 1, [SEEN], NOW - timedelta(days=1_000))
    assert ledger.prune(NOW) == 0
    ledger.keep("stream", 2, [], NOW, [SEEN.uri])
    assert ledger.prune(NOW + KEPT) == 0
    assert ledger.find(SEEN.uri) == [SEEN]
    assert ledger.prune(NOW + KEPT + timedelta(seconds=1)) == 1
    assert ledger.find(SEEN.uri) == []
    ledger.close()
