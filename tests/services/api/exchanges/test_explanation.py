"""What people read about a clock, as it would be told of some weeks at a shop in Berlin."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rapport.contracts.business_hours import Calendar, Override
from rapport.contracts.controls import PolicyRule, PolicyVersion, When
from rapport.contracts.events import DecisionRef, PolicyRef
from rapport.domain.figures import duration_in_words, listed
from rapport.domain.policies.policy import Terms
from rapport.domain.times import ms, utc
from services.api.exchanges import explanation
from services.api.exchanges.documents import exchange_document
from services.api.exchanges.explanation import Seen
from services.api.exchanges.schemas import Explanation
from services.api.policies.service import applies_to
from tests.services.api import samples

BERLIN = ZoneInfo("Europe/Berlin")
HOURS = (("09:00", "18:00"),)
SUPPORT = Calendar(
    timezone="Europe/Berlin",
    week={"mon": HOURS, "tue": HOURS, "wed": HOURS, "thu": HOURS, "fri": HOURS},
    overrides={"2026-12-25": Override(name="Christmas Day"), "2026-12-26": Override(name="Boxing Day")},
)
HOUR = 3600


def at(text: str) -> datetime:
    """A time in Berlin, `11-06 18:05`, of 2026."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=BERLIN).astimezone(UTC)


def told(
    opened: str,
    now: str,
    target: int = 4 * HOUR,
    *,
    when: When | None = None,
    seen: Seen | None = None,
    calendar: str | None = "support",
    escalations: tuple[int, ...] = (),
    warn_at: tuple[float, ...] = (),
    **more: Any,
) -> Explanation:
    """The explanation of an exchange under a rule with these terms, as of `now`."""
    rule = PolicyRule(
        target_seconds=target,
        when=when or When(),
        calendar=calendar,
        warn_at=warn_at,
        escalate_after_seconds=escalations,
    )
    calendars = {calendar: SUPPORT} if calendar else {}
    version = PolicyVersion(brand="b", version=3, effective_from=at("01-01 00:00"), rules=(rule,), calendars=calendars)
    due = utc(Terms(rule, 3, 0, SUPPORT if calendar else None).due(ms(at(opened))))
    fields = {"due_at": due, "policy": PolicyRef(version=3, rule=0), **more}
    document = exchange_document(samples.exchange("x", "b", at(opened), **fields), 1)
    return explanation.explanation(document, version, "Europe/Berlin", at(now), seen)


def test_what_comes_in_after_hours_waits_for_the_next_morning() -> None:
    found = told("11-06 18:05", "11-09 14:00", breached_at=at("11-09 13:00"))
    assert found.text == (
        "Opened Friday 18:05. Support hours were closed until Monday 09:00, so the 4 hours ran out on Monday at 13:00. "
        "That is rule 1 of policy version 3, for everything. Nobody has answered yet, so it is overdue."
    )
    assert found.due_at == at("11-09 13:00")
    assert [(each.starts_at, each.ends_at, each.name) for each in found.closed] == [
        (at("11-06 18:05"), at("11-09 09:00"), None)
    ]
    assert (found.target_seconds, found.calendar, found.applies_to) == (4 * HOUR, "support", "everything")
    assert (found.ended.how, found.ended.at) == ("open", None)
    before = told("11-06 18:05", "11-07 12:00").text
    assert "Support hours are closed until Monday 09:00, so the 4 hours run out on Monday at 13:00." in before
    assert before.endswith("Nobody has answered yet.")


def test_hours_that_end_in_between_are_told_from_when_to_when() -> None:
    text = told("11-05 17:00", "11-05 17:30").text
    assert (
        "Support hours end on Thursday at 18:00 and begin again on Friday at 09:00, so the 4 hours run out on " in text
    )
    assert "run out on Friday at 12:00." in text
    assert "within support hours, so the 1 hour runs out on Thursday at 18:00." in (
        told("11-05 17:00", "11-05 17:30", HOUR).text
    )


def test_holidays_are_named_and_dates_are_said_where_a_weekday_could_be_another_one() -> None:
    found = told("12-24 19:00", "12-29 09:00", breached_at=at("12-28 13:00"))
    assert (
        "Opened Thursday 19:00. Support hours were closed until Monday 09:00 (Christmas Day and Boxing Day), so the "
        "4 hours ran out on Monday at 13:00."
    ) in found.text
    assert [each.name for each in found.closed] == [None, "Christmas Day", "Boxing Day", None]
    later = told("11-06 18:05", "11-30 14:00", breached_at=at("11-09 13:00")).text
    assert later.startswith("Opened Friday 6 November 18:05. Support hours were closed until Monday 09:00, so")
    long = told("12-18 10:00", "12-18 11:00", 60 * HOUR).text
    assert "Only support hours count. They are closed 6 times after that, for 8 days and 18 hours in all" in long
    assert "(Christmas Day and Boxing Day), so the 60 hours run out on Tuesday 29 December at 16:00." in long


def test_without_a_calendar_the_clock_runs_through() -> None:
    text = told("11-06 18:05", "11-06 19:00", 24 * HOUR, calendar=None).text
    assert text.startswith("Opened Friday 18:05. The 24 hours run out on Saturday at 18:05.")
    assert "The 3 days run out on Monday at 18:05." in (
        told("11-06 18:05", "11-06 19:00", 72 * HOUR, calendar=None).text
    )
    document = exchange_document(samples.exchange("x", "b", at("11-06 18:05")), 1)
    default = explanation.explanation(document, None, "Europe/Berlin", at("11-06 19:00"))
    assert default.text.endswith(
        "No rule matches; the default of 24 hours applies. "
        "It is set to warn on Saturday at 12:05. Nobody has answered yet."
    )
    assert default.warnings_at == [at("11-07 12:05")]


def test_warnings_and_escalations_are_told_by_the_same_hours() -> None:
    found = told("11-06 16:00", "11-06 16:10", warn_at=(0.25, 0.75), escalations=(HOUR, 8 * HOUR))
    assert found.warnings_at == [at("11-06 17:00"), at("11-09 10:00")]
    assert found.escalations_at == [at("11-09 12:00"), at("11-10 10:00")]
    assert (
        "It is set to warn on Friday at 17:00 and Monday at 10:00 and to escalate on Monday at 12:00 and Tuesday at "
        "10:00." in found.text
    )


@pytest.mark.parametrize(
    ("when", "said"),
    [
        (When(), "everything"),
        (When(kind="message"), "private messages"),
        (When(kind="comment", platform="bluesky", words=("refund", "broken")), None),
        (When(stage=("trusts", "buys")), "everything from followers who trust the brand or buy from it"),
        (When(words=("refund",)), "everything with the word “refund”"),
        (When(account="shop"), "everything to the account shop"),
        (When(bot=True, empty=False), "everything written by bots of more than a reaction"),
    ],
)
def test_what_a_rule_is_about_is_said_in_words(when: When, said: str | None) -> None:
    assert applies_to(when) == (said or "comments on Bluesky with the words “refund” or “broken”")


def test_lists_and_durations_are_said_as_people_do() -> None:
    assert listed(["a"]) == "a"
    assert listed(list("abcde"), "or") == "a, b, c, d or e"
    assert listed(list("abcdefg"), "or") == "a, b, c, d or 3 more"
    assert duration_in_words(0) == "0 seconds"
    assert duration_in_words(5400) == "1 hour and 30 minutes"
    assert duration_in_words(2 * 86_400 + 61) == "2 days and 1 minute"
    assert duration_in_words(2 * 86_400, days=False) == "48 hours"


def test_an_answer_is_told_with_who_and_after_how_much_of_the_hours() -> None:
    answered: dict[str, Any] = {"state": "answered", "answered_at": at("11-09 10:20"), "answered_by": "did:plc:grace"}
    found = told(
        "11-06 18:05", "11-09 14:00", seen=Seen(answerer="Grace"), response_seconds=231_300.0,
        business_seconds=4800.0, **answered,
    )  # fmt: skip
    assert "the 4 hours would have run out on Monday at 13:00" in found.text
    assert found.text.endswith(
        "Grace answered on Monday at 10:20, in time, after 1 hour and 20 minutes of support hours."
    )
    assert (found.ended.how, found.ended.at, found.ended.by) == ("answered", at("11-09 10:20"), "Grace")
    nameless = told("11-06 18:05", "11-09 14:00", response_seconds=60.0, business_seconds=60.0, **answered).text
    assert nameless.endswith("The brand answered on Monday at 10:20, in time, after 1 minute.")
    late = told(
        "11-06 18:05", "11-09 16:00", state="answered_late", answered_at=at("11-09 15:00"),
        breached_at=at("11-09 13:00"), response_seconds=248_100.0, business_seconds=6.0 * HOUR,
    ).text  # fmt: skip
    assert late.endswith("The brand answered on Monday at 15:00, late, after 6 hours of support hours.")


def test_a_cancellation_is_told_with_its_reason_and_whether_it_still_counts() -> None:
    said = DecisionRef(by="Mira", at=at("11-09 14:30"), why="Answered by phone")
    decided: dict[str, Any] = {"state": "cancelled", "cancelled_because": "no_reply_needed", "decision": said}
    found = told("11-06 18:05", "11-09 15:00", breached_at=at("11-09 13:00"), **decided)
    assert found.text.endswith(
        "On Monday at 14:30 Mira said that no reply is needed: “Answered by phone”. "
        "That was after it was due, so it counts as missed."
    )
    assert (found.ended.by, found.ended.why, found.ended.because) == ("Mira", "Answered by phone", "no_reply_needed")
    spam = told("11-06 18:05", "11-09 15:00", **{**decided, "cancelled_because": "spam"}).text
    assert "On Monday at 14:30 Mira marked it as spam: “Answered by phone”. Spam counts neither" in spam
    for because, reason in explanation.BECAUSE.items():
        text = told("11-06 18:05", "11-09 15:00", state="cancelled", cancelled_because=because).text
        assert text.startswith("Opened Friday 18:05.")
        assert f"because {reason}." in text
    unknown = told("11-06 18:05", "11-09 15:00", state="cancelled", cancelled_because="of a later version").text
    assert "because there was nothing left to answer." in unknown


def test_what_is_not_known_is_not_claimed() -> None:
    document = exchange_document(samples.exchange("x", "b", at("11-06 18:05"), policy=PolicyRef(version=9, rule=1)), 1)
    found = explanation.explanation(document, None, "Europe/Berlin", at("11-06 19:00"))
    assert (found.rule, found.target_seconds, found.applies_to) == (None, None, None)
    assert "Rule 2 of policy version 9 set its clock. It is due on Saturday at 18:05." in found.text
    waiting = told("11-06 18:05", "11-10 19:00", stage_wanted=True)
    assert (
        "depends on the follower's stage. It is not known yet, so no clock runs. Nobody has answered yet."
        in waiting.text
    )
    assert waiting.closed == []
    unconfirmed = told(
        "11-06 18:05", "11-09 15:00", breached_at=at("11-09 13:00"), seen=Seen(unconfirmed=True), warn_at=(0.5,)
    )
    assert unconfirmed.unconfirmed
    assert "not everything from the platform had arrived, so an answer may have been there." in unconfirmed.text
    before = told("11-06 18:05", "11-09 15:00", backfilled=True, warn_at=(0.5,)).text
    assert "written before the account was connected, so nobody was alerted." in before
    assert "warn" not in before


def test_the_platforms_part_is_told_apart_from_the_teams() -> None:
    received: dict[str, Any] = {"received_at": at("11-06 13:10")}
    waiting = told("11-06 10:00", "11-06 13:20", calendar=None, **received).text
    assert waiting.startswith("Opened Friday 10:00. It was received here 3 hours and 10 minutes later.")
    answered: dict[str, Any] = {
        "state": "answered", "answered_at": at("11-06 13:40"), "response_seconds": 13_200.0,
    }  # fmt: skip
    found = told("11-06 10:00", "11-06 15:00", calendar=None, **received, **answered).text
    assert "in time, after 3 hours and 40 minutes, 30 minutes of them after it was received." in found
    at_once = told("11-06 10:00", "11-06 15:00", calendar=None, received_at=at("11-06 10:04"), **answered).text
    assert "received" not in at_once
    before = told("11-06 10:00", "11-06 15:00", calendar=None, backfilled=True, **received, **answered).text
    assert "received" not in before


def test_a_year_of_nights_is_told_in_bounds() -> None:
    found = told("01-05 09:00", "01-05 10:00", 365 * 9 * HOUR)
    assert len(found.closed) == explanation.MOST_CLOSED
    assert len(found.text) < 600
    assert found.due_at - found.opened_at > timedelta(days=500)
