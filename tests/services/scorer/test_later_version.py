"""Where a partition waits for a later version, what is in front of that record goes ahead. Without a broker."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts import codec
from rapport.contracts.codec import NewerError
from rapport.contracts.topics import CONVERSATIONS, CONVERSATIONS_DEAD
from services.scorer.agents import agents
from services.scorer.exchanges.handler import ExchangesHandler
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import Position
from services.scorer.fenced.transaction import Transactions
from services.scorer.rows.exchanges import ObjectRow
from tests.services.scorer.story import T0, FakeRecord, Rows, interaction, record

PLACE = f"{CONVERSATIONS.name}:0:1"


def records() -> list[Any]:
    """A comment, a control record of a later version, a comment."""
    kind = tuple(codec.headers("rapport.control.v1", id="x", source="/test"))
    told = [
        record(interaction("comment", "before", T0), T0),
        FakeRecord(b'{"control": "tomorrow"}', T0, kind),
        record(interaction("comment", "behind", T0), T0),
    ]
    return [replace(each, topic=CONVERSATIONS.name, offset=offset) for offset, each in enumerate(told)]


def transactions(put_aside: frozenset[str] = frozenset(), rows: Rows | None = None) -> Transactions:
    stored: Any = Rows() if rows is None else rows
    agent, _ = agents("", Path(), grace_seconds=0, session_seconds=10, put_aside=put_aside)
    handler = ExchangesHandler(0)
    handler.open(stored)
    nobody: Any = None
    return Transactions(agent, 0, nobody, stored, handler, Position(next={}, clock=0), lambda _: None)


def objects(batch: Batch) -> set[bytes]:
    return {key for key, _ in batch.changes() if key.startswith(b'["object"')}


@pytest.mark.anyio
async def test_what_is_in_front_goes_ahead_and_what_is_behind_waits() -> None:
    it = transactions()
    batch, many, more = await it._apply(records())
    assert (many, more) == (1, False)
    assert CONVERSATIONS_DEAD.name not in {each.topic for each in batch.outputs}
    assert len(objects(batch)) == 1
    with pytest.raises(NewerError, match=PLACE):
        await it._apply(records()[1:])


@pytest.mark.anyio
async def test_what_is_to_be_put_aside_goes_to_the_dead_letters_and_the_rest_goes_on() -> None:
    batch, many, _ = await transactions(frozenset({PLACE}))._apply(records())
    assert (many, len(objects(batch))) == (3, 2)
    [letter] = [each for each in batch.outputs if each.topic == CONVERSATIONS_DEAD.name]
    assert dict(letter.headers)["rapport_dead_from"] == PLACE.encode()


@pytest.mark.anyio
async def test_a_row_of_a_later_version_waits_and_no_record_of_it_is_put_aside() -> None:
    [key] = objects((await transactions()._apply(records()[:1]))[0])
    rows = Rows({key: b'{"role": "question"}'})
    assert Batch(rows).row(b"none", ObjectRow) is None
    with pytest.raises(NewerError, match="cannot be read"):
        await transactions(rows=rows)._apply(records()[:1])
