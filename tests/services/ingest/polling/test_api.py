"""What a platform's refusals mean, and how requests are counted."""

from datetime import UTC, datetime

import pytest

from services.ingest.polling.api import (
    LONGEST_WAIT_SECONDS,
    SHORTEST_WAIT_SECONDS,
    USUAL_WAIT_SECONDS,
    Budget,
    wait_of,
)

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "17"}, 17),
        ({"X-RateLimit-Reset": "2026-11-29T12:04:00.123456Z"}, pytest.approx(240.1, abs=0.1)),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 90)}, 90),
        ({"Retry-After": "5", "X-RateLimit-Reset": "2026-11-29T12:04:00Z"}, 5),
        ({"Retry-After": "0"}, SHORTEST_WAIT_SECONDS),
        ({"X-RateLimit-Reset": "2026-11-29T11:00:00Z"}, SHORTEST_WAIT_SECONDS),
        ({"Retry-After": "999999999"}, LONGEST_WAIT_SECONDS),
        ({"X-RateLimit-Reset": "9998-01-01T00:00:00Z"}, LONGEST_WAIT_SECONDS),
        ({}, USUAL_WAIT_SECONDS),
        ({"Retry-After": "Sun, 29 Nov 2026 12:05:00 GMT"}, USUAL_WAIT_SECONDS),
        ({"Retry-After": "1" * 400}, USUAL_WAIT_SECONDS),
        ({"Retry-After": "-1"}, USUAL_WAIT_SECONDS),
        ({"Retry-After": "²"}, USUAL_WAIT_SECONDS),
        ({"X-RateLimit-Reset": "2026-11-29T12:04:00"}, USUAL_WAIT_SECONDS),
    ],
)
def test_a_refusal_says_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert wait_of(headers, NOW) == seconds


def test_a_budget_is_for_every_stretch_of_time_not_for_each_hour_of_the_clock() -> None:
    at = 1_000.0
    budget = Budget(3, 60, lambda: at)
    for _ in range(3):
        assert budget.wait() == 0
        budget.spend()
        at += 10
    assert budget.left() == 0
    assert budget.wait() == pytest.approx(30)
    at += 31
    assert budget.left() == 1
    assert budget.wait() == 0
