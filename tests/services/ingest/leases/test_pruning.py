"""Forgetting what nobody has to remember any more: a little at a time, so that everything else goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rapport.contracts.cursors import Remembered, partition_of_brand
from rapport.kit.broker.producer import Tombstone
from services.ingest.leases import leases as leases_module
from services.ingest.leases.leases import Lease
from services.ingest.leases.rows import KEPT
from tests.services.ingest.leases.held import Held

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def two_partitions() -> tuple[str, str]:
    """Brands that lie in different ones."""
    names = [f"brand{number}" for number in range(99)]
    return names[0], next(each for each in names if partition_of_brand(each) != partition_of_brand(names[0]))


async def remember(leases: Held, lease: Lease, count: int) -> None:
    things = [
        Remembered(account="a", thing=f"{lease.partition}-{number}", kind="comment", actor="ada", conversation="c",
                   seen_at=NOW, claim=lease.claim)
        for number in range(count)
    ]  # fmt: skip
    await leases.put(lease, things)


async def test_one_partition_does_not_hold_up_the_others_and_the_rest_is_forgotten_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases_module, "PRUNED_AT_ONCE", 5)
    monkeypatch.setattr(leases_module, "PRUNED_IN_A_ROW", 2)
    leases = Held(tmp_path)
    much, little = (leases.give(each) for each in two_partitions())
    await remember(leases, much, 23)
    await remember(leases, little, 3)
    later = NOW + KEPT + timedelta(seconds=1)
    rounds: list[list[int]] = []
    for _ in range(4):
        before = len(leases.log.records)
        await leases._prune_some(lambda: later)
        gone = leases.log.records[before:]
        assert all(isinstance(each, Tombstone) for each in gone)
        rounds.append([sum(each.partition == lease.partition for each in gone) for lease in (much, little)])
    assert rounds == [[10, 3], [10, 0], [3, 0], [0, 0]]
    await leases.close()


async def test_what_does_not_go_away_is_not_tried_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = Held(tmp_path)
    lease = leases.give("brand")
    tried: list[list[bytes]] = []

    async def puts(_lease: Lease, _cursors: object, keys: list[bytes]) -> None:
        tried.append(keys)

    monkeypatch.setattr(leases, "put", puts)
    monkeypatch.setattr(leases, "_outlived", lambda _lease, _now: [b"a key that nobody has"])
    await leases._prune_some(lambda: NOW)
    assert len(tried) == leases_module.PRUNED_IN_A_ROW
    assert not lease.ended
    await leases.close()
