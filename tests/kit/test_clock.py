"""The machine's clock."""

from datetime import UTC, datetime, timedelta

from rapport.kit import clock


def test_the_time_is_in_utc_and_as_fine_as_it_is_stored() -> None:
    before = datetime.now(UTC)
    now = clock.now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0
    assert before - timedelta(milliseconds=1) < now <= datetime.now(UTC)
