"""Until when a list has been read, as it is remembered."""

import logging
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest

from rapport.contracts.cursors import Position
from rapport.contracts.events import Account
from services.ingest import metrics
from services.ingest.hooks.delivery import Delivery
from services.ingest.polling.reading import MOST_SKIPPED, Reading
from services.ingest.polling.told import CLOCKS
from tests.services.ingest.connectors.kept import Kept
from tests.services.ingest.leases.held import Held

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("position", "read_to"),
    [
        ((NOW - HOUR).isoformat(), NOW - HOUR),
        ((NOW - HOUR).astimezone(timezone(HOUR)).isoformat(), NOW - HOUR),
        ((NOW + CLOCKS).isoformat(), NOW + CLOCKS),
        ((NOW + CLOCKS * 2).isoformat(), None),
        ("9999-12-31T23:59:59+00:00", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("7", None),
    ],
    ids=["before", "in another zone", "by a clock ahead", "to come", "at the end", "behind it", "no time"],
)
async def test_a_time_that_is_still_to_come_says_nothing(
    tmp_path: Path, position: str, read_to: datetime | None
) -> None:
    leases = Held(tmp_path)
    lease = leases.give("brand")
    account = Account(id="a", platform="youtube", handle="a", connected_at=NOW - 24 * HOUR, door_secrets=())
    await leases.put(lease, [Position(account="a", list="videos", position=position, claim=lease.claim)])
    reading = Reading(account, lease, leases, cast(Any, None), lambda: NOW)
    assert reading.read_to("videos") == read_to
    assert reading.read_to("another") is None
    await leases.close()


def test_what_cannot_be_read_is_told_and_counted_once_of_each_kind_and_not_without_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    account = Account(id="a", platform="threads", handle="a", connected_at=NOW, door_secrets=())
    reading, log, rejected = (
        Kept(account, lambda: NOW),
        logging.getLogger("test"),
        metrics.REJECTED.labels("threads", "change"),
    )
    before = rejected._value.get()
    for place in (3, 4):
        found = Delivery()
        found.failed(f"items[{place}].replies[{place}]", ValueError("id is missing"))
        found.failed(f"items[{place}]", ValueError("id is missing"))
        reading.tell_skipped(found, log)
    assert [each.getMessage() for each in caplog.records] == [
        "threads a: items[3].replies[3] is skipped: ValueError: id is missing",
        "threads a: items[3] is skipped: ValueError: id is missing",
    ]
    assert rejected._value.get() == before + 2
    for number in range(2 * MOST_SKIPPED):
        found = Delivery()
        found.failed("items[0]", ValueError(f"{number} is odd"))
        reading.tell_skipped(found, log)
    assert rejected._value.get() == before + MOST_SKIPPED == before + len(caplog.records)
