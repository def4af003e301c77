"""What is taken back on Bluesky long after it was done: a delete names a path, and only the ledger knows the rest."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts.events import Interaction
from services.ingest.connectors.bluesky.frames import FOLLOW, LIKE, POST, REPOST, THREADGATE
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.older_ledger import KEPT
from tests.services.ingest.connectors.bluesky.test_hostile_stream import (
    ACCOUNT,
    BRAND,
    BRANDS_POST,
    FAN,
    NOW,
    Kept,
    streaming,
)
from tests.services.ingest.jetstream import commit
from tests.services.ingest.leases.held import Held

RECORDS: dict[str, dict[str, Any]] = {
    FOLLOW: {"subject": BRAND, "createdAt": "2026-11-27T22:45:59Z"},
    LIKE: {"subject": BRANDS_POST, "createdAt": "2026-11-27T22:45:59Z"},
    REPOST: {"subject": BRANDS_POST, "createdAt": "2026-11-27T22:45:59Z"},
    POST: {
        "text": "hello",
        "createdAt": "2026-11-27T22:45:59Z",
        "reply": {"root": BRANDS_POST, "parent": BRANDS_POST},
    },
}


def frame(collection: str, at: datetime, operation: str = "create", by: str = FAN, **more: Any) -> dict[str, Any]:
    """What the stream says of one record."""
    record = None if operation == "delete" else {**RECORDS[collection], **more}
    return commit(by, int(at.timestamp()) * 1_000_000, collection, "one", record, operation=operation)


def taken(folder: Path, now: datetime, frames: Sequence[dict[str, Any]]) -> list[Interaction]:
    """What of some frames, taken as one batch at some time, is in the log."""
    kept = Kept()

    async def take() -> None:
        watched = Watched("acme", ACCOUNT, BRAND, frozenset({BRAND}))
        async with streaming(folder, kept, now, [watched]) as (stream, _):
            await stream._take([json.dumps(each) for each in frames])

    asyncio.run(take())
    return kept.interactions()


def prune(folder: Path, now: datetime) -> int:
    """Forgets what does not have to be known any more, and returns how much that was."""

    async def forget() -> int:
        leases = Held(folder)
        lease = leases.give("acme")
        gone = leases._outlived(lease, now)
        await leases.put(lease, (), gone)
        await leases.close()
        return len(gone)

    return asyncio.run(forget())


@pytest.mark.parametrize("days", [91, 1_000])
@pytest.mark.parametrize("collection", RECORDS)
def test_what_is_deleted_after_months_is_taken_back(collection: str, days: int, tmp_path: Path) -> None:
    later = NOW + timedelta(days=days)
    (done,) = taken(tmp_path, NOW, [frame(collection, NOW)])
    for day in range(0, days + 1, 30):
        prune(tmp_path, NOW + timedelta(days=day))
    prune(tmp_path, later)
    (back,) = taken(tmp_path, later, [frame(collection, later, "delete")])
    assert (back.object, back.thread, back.post) == (done.object, done.thread, done.post)
    assert (back.kind, back.undo) == (("delete", False) if collection == POST else (done.kind, True))
    # Read again after a break of the stream, it is the same fact; after months there is nothing left to take back.
    (again,) = taken(tmp_path, later, [frame(collection, later, "delete")])
    assert again.id == back.id
    assert prune(tmp_path, later + KEPT + timedelta(seconds=1)) == 1
    assert taken(tmp_path, later, [frame(collection, later, "delete")]) == []


def test_an_edit_after_months_is_an_edit(tmp_path: Path) -> None:
    later = NOW + timedelta(days=91)
    taken(tmp_path, NOW, [frame(POST, NOW)])
    prune(tmp_path, later)
    (edited,) = taken(tmp_path, later, [frame(POST, later, "update", text="hello!")])
    assert (edited.kind, edited.object.id) == ("edit", f"at://{FAN}/{POST}/one")


def test_what_is_written_again_under_the_same_path_stays(tmp_path: Path) -> None:
    for frames in ([frame(LIKE, NOW)], [frame(LIKE, NOW, "delete"), frame(LIKE, NOW)]):
        taken(tmp_path, NOW, frames)
    assert prune(tmp_path, NOW + KEPT + timedelta(days=1)) == 0
    taken(tmp_path, NOW, [frame(LIKE, NOW), frame(LIKE, NOW, "delete")])
    assert prune(tmp_path, NOW + KEPT + timedelta(days=1)) == 1


def gate(at: datetime, *hidden: str, operation: str = "update") -> dict[str, Any]:
    """What the stream says of the gate of the brand's post."""
    record = {"post": BRANDS_POST["uri"], "hiddenReplies": list(hidden)} if operation != "delete" else None
    rkey = BRANDS_POST["uri"].rpartition("/")[2]
    return commit(BRAND, int(at.timestamp()) * 1_000_000, THREADGATE, rkey, record, operation=operation)


def test_what_a_gate_hid_is_known_after_months_and_deleting_it_shows_all_of_it(tmp_path: Path) -> None:
    one, two = f"at://{FAN}/{POST}/one", f"at://{FAN}/{POST}/two"
    told: list[tuple[str, str]] = []
    versions = [
        (0, gate(NOW, one, two)),
        (100, gate(NOW + timedelta(days=100), two)),
        (100, gate(NOW, one, two)),  # read again after a break
        (200, gate(NOW + timedelta(days=200), operation="delete")),
        (200, gate(NOW + timedelta(days=100), two)),
    ]
    for days, version in versions:
        later = NOW + timedelta(days=days)
        prune(tmp_path, later)
        told += [(each.kind, each.object.id) for each in taken(tmp_path, later, [version])]
    assert told == [("hide", one), ("hide", two), ("unhide", one), ("unhide", two)]
    assert prune(tmp_path, NOW + timedelta(days=200) + KEPT + timedelta(seconds=1)) == 1


def test_a_gate_that_was_made_anew_is_not_forgotten_when_its_deletion_is_read_again(tmp_path: Path) -> None:
    one = f"at://{FAN}/{POST}/one"
    seconds = [NOW + timedelta(seconds=number) for number in range(3)]
    story = [gate(seconds[0], one), gate(seconds[1], operation="delete"), gate(seconds[2], one)]
    assert [each.kind for each in taken(tmp_path, NOW, story)] == ["hide", "unhide", "hide"]
    assert taken(tmp_path, NOW, story) == []
    later = NOW + timedelta(days=91)
    assert prune(tmp_path, later) == 0
    assert [each.kind for each in taken(tmp_path, later, [gate(later)])] == ["unhide"]
