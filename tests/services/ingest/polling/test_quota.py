"""A daily quota lasts until midnight where the platform is, and is spent where something happens."""

from datetime import UTC, datetime, timedelta

import pytest

from services.ingest.polling.quota import LATEST_SECONDS, SOONEST_SECONDS, Quota

ZONE = "America/Los_Angeles"


class Clock:
    """A time that tests set."""

    def __init__(self, at: str) -> None:
        self.now = datetime.fromisoformat(at).astimezone(UTC)

    def __call__(self) -> datetime:
        return self.now


def test_it_begins_anew_at_midnight_where_the_platform_is() -> None:
    clock = Clock("2026-11-29T23:00:00-08:00")
    quota = Quota(3, ZONE, clock, lambda: 1.0)
    for _ in range(3):
        assert quota.wait() == 0
        quota.spend()
    assert (quota.left(), quota.wait()) == (0, 3600)
    clock.now += timedelta(hours=1)
    assert (quota.left(), quota.wait()) == (3, 0)


@pytest.mark.parametrize(
    ("at", "hours"),
    [("2026-03-08T00:30:00-08:00", 22.5), ("2026-11-01T00:30:00-07:00", 24.5)],
    ids=["spring", "autumn"],
)
def test_days_with_another_number_of_hours(at: str, hours: float) -> None:
    assert Quota(1, ZONE, Clock(at), lambda: 1.0).seconds_left() == hours * 3600


def test_what_the_platform_says_counts_more_than_what_was_counted() -> None:
    clock = Clock("2026-11-29T12:00:00-08:00")
    quota = Quota(100, ZONE, clock, lambda: 1.0)
    quota.exhaust()
    assert (quota.left(), quota.wait()) == (0, 12 * 3600)
    clock.now += timedelta(hours=12)
    assert quota.left() == 100


def test_several_processes_share_it() -> None:
    share = 0.25
    quota = Quota(1000, ZONE, Clock("2026-11-29T00:00:00-08:00"), lambda: share)
    assert quota.left() == 250
    share = 0.0
    assert quota.left() == 0


def test_five_hundred_channels_get_through_the_day_and_busy_ones_are_asked_more_often() -> None:
    clock = Clock("2026-11-29T00:00:00-08:00")
    quota = Quota(10_000, ZONE, clock, lambda: 1.0)
    channels = [_Channel() for _ in range(500)]
    latest = [clock.now - timedelta(hours=1 if number < 50 else 24 * 30) for number in range(500)]
    due = [clock.now + timedelta(seconds=number) for number in range(500)]
    asked = [0] * 500
    end = clock.now + timedelta(days=1)
    while (soonest := min(due)) < end:
        number = due.index(soonest)
        clock.now = soonest
        quota.spend()
        asked[number] += 1
        recent = clock.now - timedelta(hours=1) if number < 50 else latest[number]
        due[number] = soonest + timedelta(seconds=quota.every(channels[number], recent, 1.0))
    assert 9_000 < sum(asked) <= 10_000
    assert min(asked) >= 4
    assert min(asked[:50]) > 4 * max(asked[50:])


def test_nobody_is_asked_more_often_than_once_a_minute_nor_less_than_every_six_hours() -> None:
    quota = Quota(10_000, ZONE, Clock("2026-11-29T12:00:00-08:00"), lambda: 1.0)
    alone = _Channel()
    assert quota.every(alone, None, 1.0) == SOONEST_SECONDS
    quota.exhaust()
    assert quota.every(alone, None, 1.0) == LATEST_SECONDS


@pytest.mark.parametrize(("minutes", "spent"), [(10, 10_000), (10, 9_990), (60, 9_900), (0.1, 10_000)])
def test_nobody_waits_past_the_hour_at_which_there_is_more_again(minutes: float, spent: int) -> None:
    clock = Clock("2026-11-30T00:00:00-08:00")
    clock.now -= timedelta(minutes=minutes)
    quota = Quota(10_000, ZONE, clock, lambda: 1.0)
    channels = [_Channel() for _ in range(500)]
    for each in channels:
        quota.every(each, None, 1.0)
    quota.spend(spent)
    assert quota.every(channels[0], None, 1.0) == max(60 * minutes, SOONEST_SECONDS)


def test_whoever_writes_much_leaves_something_to_read_with_and_something_to_write_with() -> None:
    clock = Clock("2026-11-29T12:00:00-08:00")
    quota = Quota(10_000, ZONE, clock, lambda: 1.0)
    channels = [_Channel() for _ in range(3)]
    for each in channels:
        quota.every(each, None, 1.0)
    written = {}
    for account in ("busy", "other", "third"):
        writing = quota.writing(50, account)
        written[account] = 0
        while writing.wait() == 0.0 and written[account] < 1_000:
            writing.spend()
            written[account] += 1
        assert writing.wait() == 12 * 3600
        # Its token was renewed: it is the same account.
        assert quota.writing(50, account).wait() == 12 * 3600
    assert written == {"busy": 50, "other": 25, "third": 13}
    assert quota.left() >= 5_000
    clock.now += timedelta(hours=12)
    assert quota.writing(50, "busy").wait() == 0.0


def test_the_only_channel_may_write_all_that_may_be_written() -> None:
    quota = Quota(10_000, ZONE, Clock("2026-11-29T12:00:00-08:00"), lambda: 1.0)
    alone = _Channel()
    quota.every(alone, None, 1.0)
    writing = quota.writing(50, "alone")
    times = 0
    while writing.wait() == 0.0 and times < 1_000:
        writing.spend()
        times += 1
    assert times == 100


class _Channel:
    """One that is read."""
