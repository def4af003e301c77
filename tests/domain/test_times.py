"""No function of the domain breaks on a time, however odd. What is stored may be from before times were checked."""

import contextlib
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from rapport.contracts.business_hours import Calendar
from rapport.contracts.rows import FollowerRow
from rapport.domain import consistency, outreach
from rapport.domain.campaigns import effect
from rapport.domain.communities import community
from rapport.domain.communities.community import Condition, Facts
from rapport.domain.consistency import Due, Span
from rapport.domain.policies import business_time
from rapport.domain.policies.policy import Subject, terms
from rapport.domain.relationships import answering, decay, relationship, why
from rapport.domain.relationships.counting import CountedFact, count, stage_on, standing
from rapport.domain.relationships.relationship import DEFAULT
from rapport.domain.times import clamped, day_in_range, in_range, local, ms, shifted, utc

FARTHEST = 86_399_999
EDGES = [datetime.min.replace(tzinfo=timezone(timedelta(milliseconds=FARTHEST)))] + [
    datetime(*parts, tzinfo=UTC) for parts in ((1, 1, 1), (999, 12, 31), (1500, 6, 1), (1969, 12, 31), (9999, 12, 31))
]
times = st.sampled_from(EDGES) | st.datetimes(
    timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
)
moments = st.integers(-(10**18), 10**18) | st.sampled_from([-(2**63), 2**63 - 1]) | times.map(ms)
zones = st.sampled_from(["UTC", "America/Los_Angeles", "Pacific/Kiritimati", "Europe/Berlin"]).map(ZoneInfo)
CALENDAR = Calendar(timezone="America/Los_Angeles", week={"mon": (("09:00", "17:00"),)})


def test_the_range_is_1971_to_9998_in_utc() -> None:
    hour = timezone(timedelta(hours=1))
    assert not in_range(datetime(1971, 1, 1, 0, 59, tzinfo=hour))
    assert in_range(datetime(1971, 1, 1, 1, 0, tzinfo=hour))
    assert in_range(datetime(9999, 1, 1, 0, 59, 59, 999_999, tzinfo=hour))
    assert not in_range(datetime(9999, 1, 1, 1, 0, tzinfo=hour))
    assert [day_in_range(date(year, 1, 1)) for year in (1970, 1971, 9998, 9999)] == [False, True, True, False]


@given(times, zones)
def test_a_clamped_time_can_be_told_in_every_zone(at: datetime, zone: ZoneInfo) -> None:
    assert in_range(clamped(at))
    assert local(at, zone).utcoffset() is not None
    assert (clamped(at) == at.astimezone(UTC)) if in_range(at) and at.year < 9998 else True


@given(moments, st.dates(), st.integers(-(10**6), 10**6))
def test_milliseconds_and_days_never_leave_what_can_be_told(at: int, day: date, days: int) -> None:
    assert utc(at).tzinfo is UTC
    assert date.min <= shifted(day, days) <= date.max


@given(times, times, times, st.sampled_from(["comment", "purchase", "follow", "unanswered"]))
def test_a_relationship_is_counted_whenever_its_facts_are_from(
    one: datetime, other: datetime, now: datetime, kind: str
) -> None:
    row = FollowerRow(
        brand="b", platform="p", follower="f", revision=0, first_seen=utc(ms(one)), last_seen=utc(ms(other))
    )
    known: CountedFact | None = None
    for number, at in enumerate((one, other)):
        known = count(row, known if number else None, (number, ""), kind, at) or known
    sums, bought = standing(row)
    for moment in (ms(now), ms(one), ms(other)):
        held = relationship.stage(sums, bought, moment)
        assert held in relationship.STAGES
        until = relationship.stage_until(sums, bought, moment)
        assert until is None or until > moment
        assert 0 <= relationship.score(sums.get("know", 0.0), "know", moment) <= 100
        why.changes(row.days, DEFAULT, moment, 14)
        why.next_steps(sums, bought, row.days, DEFAULT, moment)
    assert decay.rank_of(row.momentum) < 1e9
    for days in effect.AFTER_DAYS:
        effect.stage_after(row.days, one, days, DEFAULT)
        effect.due_at(one, days)
    effect.next_due(one, now)
    assert len(effect.week_of(one)) == len("2026-W48")
    answering.moved(row.days, one, other, DEFAULT)
    stage_on(row.days, one.date(), DEFAULT)


@given(moments, moments, st.integers(0, 10 * 365 * 86_400_000))
def test_a_clock_is_told_whenever_it_opened(opened: int, closed: int, target: int) -> None:
    assume(abs(opened) < 2**62)
    with contextlib.suppress(business_time.CalendarError):  # ten years do not have so many open hours
        business_time.due(opened, target, CALENDAR)
    near = opened + abs(closed) % (40 * 86_400_000)
    business_time.business(opened, near, CALENDAR)
    business_time.skipped(opened, near, CALENDAR)
    found = terms((), Subject(at=opened, platform="p", kind="comment", account="a"))
    utc(found.due(opened))
    assert found.business_seconds(opened, closed) >= 0


@given(st.lists(times, max_size=5), times, times, zones)
def test_consistency_is_told_of_posts_of_any_time(
    published: list[datetime], before: datetime, until: datetime, zone: ZoneInfo
) -> None:
    span = Span(date(2026, 1, 1), date(2026, 3, 1), zone, until)
    consistency.consistency(span, published, before, [Due("a", each, before) for each in published], 3.0)


@given(moments, moments, moments)
def test_a_community_is_judged_whenever_its_people_were_seen(first: int, last: int, now: int) -> None:
    facts = Facts(
        platforms=("p",),
        sums={"know": 1e9},
        last_purchase_at=first,
        scoring=DEFAULT,
        counts={},
        first_seen=first,
        last_seen=last,
    )
    for one in (
        Condition("last seen", "within", 30),
        Condition("know", ">=", 50),
        Condition("stage", "is at least", "knows"),
    ):
        community.matches(one, facts, now)
        community.until(one, facts, now)


@given(times, times)
def test_outreach_is_worded_whenever_somebody_was_last_seen(at: datetime, now: datetime) -> None:
    for each in outreach.WHYS:
        assert outreach.words(outreach.Reason(each, at, comments=3), now)
