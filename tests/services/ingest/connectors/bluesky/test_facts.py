"""Which changes only tell again what stands in a repository."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.ingest.connectors.bluesky.facts import MOST_SYNCED, SYNCED_WITHIN, Synced
from services.ingest.connectors.bluesky.frames import POST, Change

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TOLD = Change("did:plc:ada", "create", POST, "a", "3b", NOW, "cid", {})


def synced() -> Synced:
    found = Synced()
    found.note(TOLD.did, NOW)
    return found


def test_all_of_one_version_is_told_again_and_only_of_that_person() -> None:
    found = synced()
    assert [found.marked(each).again for each in (TOLD, replace(TOLD, rkey="b"), replace(TOLD, did="did:plc:bo"))] == [
        True, True, False
    ]  # fmt: skip
    assert not Synced().marked(TOLD).again


@pytest.mark.parametrize(
    "change",
    [
        replace(TOLD, rev="3c"),
        replace(TOLD, operation="update"),
        replace(TOLD, operation="delete", cid=None, record=None),
        replace(TOLD, at=NOW + SYNCED_WITHIN + timedelta(seconds=1)),
    ],
)
def test_whatever_else_comes_is_new_and_so_is_what_follows(change: Change) -> None:
    found = synced()
    assert found.marked(TOLD).again
    assert found.marked(change) == change
    assert not found.marked(TOLD).again


def test_a_repository_may_be_told_anew_twice() -> None:
    found = synced()
    found.marked(TOLD)
    found.note(TOLD.did, NOW)
    assert found.marked(replace(TOLD, rev="3d")).again


def test_only_so_many_people_are_remembered() -> None:
    found = synced()
    for number in range(MOST_SYNCED):
        found.note(f"did:plc:{number}", NOW)
    assert not found.marked(TOLD).again
    assert found.marked(replace(TOLD, did="did:plc:0")).again
