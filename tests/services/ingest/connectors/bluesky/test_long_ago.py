"""What is taken back on Bluesky long after it was done: a delete names a path, and only the ledger knows the rest."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts.events import Interaction
from rapport.kit.http.outgoing import Guard
from services.ingest.connectors.bluesky.facts import Facts
from services.ingest.connectors.bluesky.frames import FOLLOW, LIKE, POST, REPOST, THREADGATE
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.source import Source
from services.ingest.connectors.bluesky.stream import Stream
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.ledger import KEPT, Ledger, Seen
from tests.services.ingest.connectors.bluesky.test_hostile_stream import (
    ACCOUNT,
    BRAND,
    BRANDS_POST,
    FAN,
    NOW,
    Kept,
    NobodysHandles,
)
from tests.services.ingest.jetstream import commit

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


def taken(ledger: Ledger, now: datetime, frames: Sequence[dict[str, Any]]) -> list[Interaction]:
    """What of some frames, taken as one batch at some time, is in the log."""
    kept = Kept()

    async def take() -> None:
        source = Source("ws://127.0.0.1/subscribe", "jetstream")
        log, guard = logging.getLogger("test"), Guard(allow_private=True)
        shared = Shared(Path(), kept, lambda: now, log, guard)  # type: ignore[arg-type]
        stream = Stream(source, ledger, NobodysHandles(), shared)  # type: ignore[arg-type]
        watched = Watched("acme", ACCOUNT, BRAND, frozenset({BRAND}))
        stream._facts = Facts([watched])
        await stream._take([json.dumps(each) for each in frames])

    asyncio.run(take())
    return kept.interactions()


@pytest.mark.parametrize("days", [91, 1_000])
@pytest.mark.parametrize("collection", RECORDS)
def test_what_is_deleted_after_months_is_taken_back(collection: str, days: int, tmp_path: Path) -> None:
    ledger, later = Ledger(tmp_path / "ledger.sqlite"), NOW + timedelta(days=days)
    (done,) = taken(ledger, NOW, [frame(collection, NOW)])
    for day in range(0, days + 1, 30):
        ledger.prune(NOW + timedelta(days=day))
    ledger.prune(later)
    (back,) = taken(ledger, later, [frame(collection, later, "delete")])
    assert (back.object, back.thread, back.post) == (done.object, done.thread, done.post)
    assert (back.kind, back.undo) == (("delete", False) if collection == POST else (done.kind, True))
    # Read again after a break of the stream, it is the same fact; after months there is nothing left to take back.
    (again,) = taken(ledger, later, [frame(collection, later, "delete")])
    assert again.id == back.id
    assert ledger.prune(later + KEPT + timedelta(seconds=1)) == 1
    assert taken(ledger, later, [frame(collection, later, "delete")]) == []
    ledger.close()


def test_an_edit_after_months_is_an_edit(tmp_path: Path) -> None:
    ledger, later = Ledger(tmp_path / "ledger.sqlite"), NOW + timedelta(days=91)
    taken(ledger, NOW, [frame(POST, NOW)])
    ledger.prune(later)
    (edited,) = taken(ledger, later, [frame(POST, later, "update", text="hello!")])
    assert (edited.kind, edited.object.id) == ("edit", f"at://{FAN}/{POST}/one")
    ledger.close()


def test_what_is_written_again_under_the_same_path_stays(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for frames in ([frame(LIKE, NOW)], [frame(LIKE, NOW, "delete"), frame(LIKE, NOW)]):
        taken(ledger, NOW, frames)
    assert ledger.prune(NOW + KEPT + timedelta(days=1)) == 0
    taken(ledger, NOW, [frame(LIKE, NOW), frame(LIKE, NOW, "delete")])
    assert ledger.prune(NOW + KEPT + timedelta(days=1)) == 1
    ledger.close()


def gate(at: datetime, *hidden: str, operation: str = "update") -> dict[str, Any]:
    """What the stream says of the gate of the brand's post."""
    record = {"post": BRANDS_POST["uri"], "hiddenReplies": list(hidden)} if operation != "delete" else None
    rkey = BRANDS_POST["uri"].rpartition("/")[2]
    return commit(BRAND, int(at.timestamp()) * 1_000_000, THREADGATE, rkey, record, operation=operation)


def test_what_a_gate_hid_is_known_after_months_and_deleting_it_shows_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
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
        ledger, later = Ledger(path), NOW + timedelta(days=days)
        ledger.prune(later)
        told += [(each.kind, each.object.id) for each in taken(ledger, later, [version])]
        ledger.close()
    assert told == [("hide", one), ("hide", two), ("unhide", one), ("unhide", two)]
    ledger = Ledger(path)
    assert ledger.prune(NOW + timedelta(days=200) + KEPT + timedelta(seconds=1)) == 1
    ledger.close()


def test_a_gate_that_was_made_anew_is_not_forgotten_when_its_deletion_is_read_again(tmp_path: Path) -> None:
    ledger, one = Ledger(tmp_path / "ledger.sqlite"), f"at://{FAN}/{POST}/one"
    seconds = [NOW + timedelta(seconds=number) for number in range(3)]
    story = [gate(seconds[0], one), gate(seconds[1], operation="delete"), gate(seconds[2], one)]
    assert [each.kind for each in taken(ledger, NOW, story)] == ["hide", "unhide", "hide"]
    assert taken(ledger, NOW, story) == []
    later = NOW + timedelta(days=91)
    assert ledger.prune(later) == 0
    assert [each.kind for each in taken(ledger, later, [gate(later)])] == ["unhide"]
    ledger.close()


def test_a_ledger_of_an_older_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    file = sqlite3.connect(path)
    file.executescript(
        """
        CREATE TABLE seen (
          uri TEXT NOT NULL, account TEXT NOT NULL, kind TEXT NOT NULL, conversation TEXT NOT NULL, thread TEXT,
          post TEXT, follower TEXT NOT NULL, parent TEXT, rev TEXT NOT NULL, seen_at INTEGER NOT NULL,
          PRIMARY KEY (uri, account)
        ) WITHOUT ROWID;
        CREATE INDEX seen_at ON seen (seen_at);
        INSERT INTO seen
          VALUES ('at://f/app.bsky.graph.follow/1', 'acme', 'follow', 'b:f', NULL, NULL, 'f', NULL, 'r', 0);
        """
    )
    file.close()
    for _ in range(2):
        ledger = Ledger(path)
        ledger.prune(NOW)
        wanted = Seen("at://f/app.bsky.graph.follow/1", "acme", "follow", "b:f", None, None, "f", None, "r")
        assert ledger.find("at://f/app.bsky.graph.follow/1") == [wanted]
        ledger.close()
