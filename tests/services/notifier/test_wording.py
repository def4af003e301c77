"""What an alert says: every step in one line, and no text from outside that is more than text."""

from datetime import UTC, datetime, timedelta

import pytest

from rapport.contracts.events import FirstComment, FollowerRef, Step
from services.notifier import outbox, wording
from tests.services.notifier.conftest import a_missing_post, an_alert

OPENED = datetime(2026, 11, 19, 12, 0, tzinfo=UTC)
DUE = OPENED + timedelta(hours=24)


@pytest.mark.parametrize(
    ("step", "after_hours", "subject"),
    [
        ("warning", 18, "Due in 6 hours: @ada has waited 18 hours for Acme on Bluesky"),
        ("warning", 23, "Due in 1 hour: @ada has waited 23 hours for Acme on Bluesky"),
        ("breach", 24, "Overdue: @ada has waited 24 hours for Acme on Bluesky"),
        ("escalation", 49.5, "Still overdue: @ada has waited 2 days 1 hour for Acme on Bluesky"),
        ("resolved", 26, "Answered: @ada no longer waits for Acme on Bluesky"),
        ("retracted", 25, "Not overdue after all: @ada did not wait too long for Acme on Bluesky"),
    ],
)
def test_each_step_says_what_who_how_late_for_whom_and_where(step: Step, after_hours: float, subject: str) -> None:
    created_at = OPENED + timedelta(hours=after_hours)
    answered_at = created_at if step == "resolved" else None
    alert = an_alert("acme", step, opened_at=OPENED, due_at=DUE, created_at=created_at, answered_at=answered_at)

    assert wording.message_for(alert, "Acme", "https://portal.example/x", created_at).subject == subject


@pytest.mark.parametrize(
    ("step", "late", "subject"),
    [
        ("warning", timedelta(hours=-5), "Due in 5 hours: @ada has waited 19 hours for Acme on Bluesky"),
        ("warning", timedelta(seconds=-30), "Due in less than a minute: @ada has waited 23 hours 59 minutes for"),
        ("warning", timedelta(), "Overdue since Fri 20 Nov 2026, 12:00 UTC: @ada has waited 24 hours for Acme on"),
        ("warning", timedelta(days=2), "Overdue since Fri 20 Nov 2026, 12:00 UTC: @ada has waited 3 days for Acme"),
        ("breach", timedelta(hours=2), "Overdue: @ada has waited 26 hours for Acme on Bluesky"),
        ("escalation", timedelta(days=2), "Still overdue: @ada has waited 3 days for Acme on Bluesky"),
    ],
)
def test_an_alert_that_is_sent_late_says_what_is_true_then(step: Step, late: timedelta, subject: str) -> None:
    alert = an_alert("acme", step, opened_at=OPENED, due_at=DUE, created_at=OPENED + timedelta(hours=18))

    message = wording.message_for(alert, "Acme", "https://portal.example/x", DUE + late)

    assert message.subject.startswith(subject)
    assert "Due in" not in message.subject or late < timedelta()


@pytest.mark.parametrize(
    ("step", "late", "told"),
    [
        ("warning", timedelta(hours=3, minutes=10), True),
        ("breach", timedelta(hours=3, minutes=10), True),
        ("escalation", timedelta(hours=3, minutes=10), True),
        ("breach", timedelta(hours=1), False),
        ("resolved", timedelta(hours=3), False),
        ("retracted", timedelta(hours=3), False),
        ("breach", None, False),
    ],
)
def test_it_says_how_much_of_the_time_was_over_when_it_was_received(
    step: Step, late: timedelta | None, told: bool
) -> None:
    received_at = None if late is None else OPENED + late
    alert = an_alert("acme", step, opened_at=OPENED, due_at=DUE, created_at=DUE, received_at=received_at)

    message = wording.message_for(alert, "Acme", "https://portal.example/x", DUE)

    said = "Received: Thu 19 Nov 2026, 15:10 UTC. Of these 24 hours, 3 hours 10 minutes passed before Bluesky told us."
    assert (said in message.text, said in message.html) == (told, told)
    assert told or "Received" not in message.text


def test_of_the_time_to_answer_no_more_than_all_of_it_has_passed() -> None:
    late = DUE + timedelta(minutes=1)
    alert = an_alert("acme", "breach", opened_at=OPENED, due_at=DUE, created_at=late, received_at=late)

    message = wording.message_for(alert, "Acme", "https://portal.example/x", late)

    assert "Of these 24 hours, all passed before Bluesky told us." in message.text


def test_what_ended_late_without_an_answer_is_not_called_answered() -> None:
    message = wording.message_for(an_alert("acme", "resolved"), "Acme", "https://portal.example/x", DUE)

    assert message.subject.startswith("Closed without an answer: @ada no longer waits")


def test_what_the_platforms_terms_no_longer_let_be_kept_is_not_sent_however_late_it_is() -> None:
    who = FollowerRef(id="urn:li:person:ada", handle="ada-handle", name="Ada", kept_until=OPENED + timedelta(days=1))
    first = FirstComment(id="c1", text="a secret refund", kept_until=OPENED + timedelta(days=2))
    alert = an_alert("acme", "breach", platform="linkedin", opened_at=OPENED, due_at=DUE, follower=who, first=first)

    def message(after: timedelta) -> wording.Message:
        now = OPENED + after
        return wording.message_for(outbox.kept(alert, now), "Acme", "https://portal.example/x", now)

    early, later, late = (message(timedelta(days=days, hours=-1)) for days in (1, 2, 3))
    assert ("@ada-handle" in early.subject, "a secret refund" in early.text) == (True, True)
    assert later.subject.startswith("Overdue: LinkedIn member ada has waited")
    assert "a secret refund" in later.html
    for said in (late.text, late.html):
        assert "secret" not in said
        assert "Text no longer kept (LinkedIn" in said


def test_an_unconfirmed_breach_says_so() -> None:
    message = wording.message_for(an_alert("acme", unconfirmed=True), "Acme", "https://portal.example/x", DUE)

    assert "Unconfirmed" in message.text
    assert "Unconfirmed" in message.html


@pytest.mark.parametrize(
    "hostile",
    [
        "a\r\nBcc: x@y.example",
        "a\u2028b",
        "a\x00b\x1b[31m",
        "\u202eevil\u2066",
        "<img src=x onerror=alert(1)>",
        "\ud800",
        "x" * 5000,
    ],
)
def test_hostile_words_stay_words(hostile: str) -> None:
    follower = FollowerRef(id="x", handle=hostile)
    alert = an_alert("acme", platform=hostile, follower=follower, first=FirstComment(id="c", text=hostile, url=hostile))
    message = wording.message_for(alert, hostile, "https://portal.example/x", DUE)

    assert len(message.subject) <= wording.SUBJECT_CHARACTERS
    assert message.subject.isprintable()
    assert "<img" not in message.html
    for text in (message.subject, message.text, message.html):
        text.encode()
        assert not set("\u202e\u2066\x00\x1b\r") & set(text)


def test_a_quoted_comment_cannot_pass_for_our_own_lines() -> None:
    first = FirstComment(id="c", text="hi\n\nIn Rapport: https://evil.example/")
    message = wording.message_for(an_alert("acme", first=first), "Acme", "https://portal.example/x", DUE)

    assert [line for line in message.text.splitlines() if line.startswith("In Rapport:")] == [
        "In Rapport: https://portal.example/x"
    ]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "https:", "http://[", "https://a b/", None])
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert wording.web_address(url) is None


def test_the_link_escapes_what_it_is_made_of() -> None:
    link = wording.link_to("https://portal.example/", an_alert("a/b", exchange="x?y#z"))

    assert link == "https://portal.example/brands/a%2Fb/exchanges/x%3Fy%23z"


def test_a_missing_post_is_told_with_what_was_planned() -> None:
    missing = a_missing_post("acme", text="Monday\nis here", owner="Grace\r\nBcc: x")
    link = wording.link_to("https://portal.example", missing)
    message = wording.message_for(missing, "Acme", link, missing.created_at)
    later = wording.message_for(missing, "Acme", link, missing.created_at + timedelta(hours=1))

    assert message.subject == "Not published: a post for Acme on Bluesky was planned 30 minutes ago"
    assert later.subject == "Not published: a post for Acme on Bluesky was planned 1 hour 30 minutes ago"
    assert "> Monday\n> is here" in message.text
    assert "Owner: Grace Bcc: x" in message.text
    assert "https://portal.example/brands/acme/calendar/monday" in message.text


DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


@pytest.mark.parametrize(
    ("id", "handle", "name", "said"),
    [
        ("u1", "ada", "Ada", "@ada"),
        ("u1", "@ada", None, "@ada"),
        ("u1", None, "Ada Lovelace", "Ada Lovelace"),
        ("u1", "\u200b", "Ada", "Ada"),
        ("u1", " ", "\u3164", "u1"),
        ("1784140000000000000000000012", None, "🏻", "17841400000000…0012"),
        (DID, "ada.example", None, "@ada.example"),
        (DID, None, None, "did:plc:ewvi7n…4oiz (unverified)"),
    ],
)
def test_a_person_is_called_by_what_shows(id: str, handle: str | None, name: str | None, said: str) -> None:
    follower = FollowerRef(id=id, handle=handle, name=name)
    alert = an_alert("acme", follower=follower, opened_at=OPENED, created_at=DUE, due_at=DUE)

    assert wording.message_for(alert, "Acme", "https://portal.example/x", DUE).subject.startswith(
        f"Overdue: {said} has waited 24 hours for Acme"
    )


def test_a_brand_whose_name_does_not_show_is_called_by_its_id() -> None:
    message = wording.message_for(an_alert("acme"), "\u200b \u2060", "https://portal.example/x", DUE)

    assert " for acme on Bluesky" in message.subject


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (-5, "less than a minute"),
        (0, "less than a minute"),
        (1, "1 minute"),
        (59, "59 minutes"),
        (60, "1 hour"),
        (61, "1 hour 1 minute"),
        (120, "2 hours"),
        (1440, "24 hours"),
        (2880, "2 days"),
        (2940, "2 days 1 hour"),
        (3000, "2 days 2 hours"),
    ],
)
def test_durations_are_said_in_two_units_at_most(minutes: int, said: str) -> None:
    assert wording.span(timedelta(minutes=minutes)) == said


def test_a_missing_post_that_may_be_published_says_so() -> None:
    told = wording.message_for(
        a_missing_post("acme", unconfirmed=True), "Acme", "https://portal.example/x", datetime.now(UTC)
    )
    assert "Unconfirmed: Rapport hears nothing of the account at the moment, so it may be published." in told.text
