"""How a lane ends where its end and the group's word meet. The lanes on a real broker are in `test_fenced_batches`."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import InvalidProducerIdMapping, InvalidTxnState, KafkaError, ProducerFenced

from services.scorer.fenced import lane as lanes
from services.scorer.fenced import turns as turning
from services.scorer.fenced.agent import Agent
from services.scorer.fenced.lane import MOST_OPENINGS, Lane
from services.scorer.fenced.state import RefusedError, Store
from services.scorer.fenced.turns import Turns


class SlowToStop:
    """A producer whose end takes until it is told, as it does where the broker is slow to answer."""

    stopping: asyncio.Event
    go: asyncio.Event

    def __init__(self, *_: object) -> None:
        pass

    async def start(self) -> None:
        """At once."""

    async def stop(self) -> None:
        """Says that it began, and waits."""
        self.stopping.set()
        await self.go.wait()


async def _fenced(*_: object) -> int:
    raise ProducerFenced


def _agent(folder: Path) -> Agent:
    return Agent(
        name="exchanges", application="rapport-1", group="g", bootstrap="", data=folder, sources=(), changelog="c",
        changelog_headers=(), dead_letters={}, handler=lambda _: pytest.fail("not to be reached"), stale_after=0,
    )  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("released", [True, False], ids=["and then ends", "and does not end"])
async def test_rows_can_be_opened_again_where_a_lane_was_ending_when_its_partition_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, released: bool
) -> None:
    SlowToStop.stopping, SlowToStop.go = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(lanes, "Producer", SlowToStop)
    monkeypatch.setattr(lanes, "restore", _fenced)
    monkeypatch.setattr(lanes, "_CLOSE_SECONDS", 30.0 if released else 0.05)
    crashed: list[Any] = []
    agent = _agent(tmp_path)
    lane = Lane(agent, 0, read_from=lambda *_: None, pause=lambda _: None, crashed=crashed.append)
    lane.start()
    await SlowToStop.stopping.wait()
    closing = asyncio.create_task(lane.close())
    await asyncio.sleep(0)
    if released:
        assert not closing.done(), "it is waited for"
        SlowToStop.go.set()
    await closing
    Store(tmp_path / agent.application / agent.name / "0").close()
    assert crashed == []


class Useless(SlowToStop):
    """A producer that fails as soon as it starts."""

    starts = 0
    error: BaseException

    async def start(self) -> None:
        """Fails."""
        Useless.starts += 1
        raise self.error

    async def stop(self) -> None:
        """At once."""


def _wrapped(error: BaseException) -> BaseException:
    """As aiokafka hands most errors on."""
    outer: BaseException = KafkaError("Unexpected error during batch delivery")
    outer.__cause__ = error
    return outer


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "starts"),
    [
        (ProducerFenced(), 1 + MOST_OPENINGS),
        (_wrapped(InvalidProducerIdMapping()), 1 + MOST_OPENINGS),
        (_wrapped(InvalidTxnState()), 1 + MOST_OPENINGS),
        (RefusedError("no"), 1),
        (_wrapped(ValueError()), 1),
    ],
    ids=["fenced", "forgotten", "out of step", "refused", "anything else"],
)
async def test_a_lane_whose_producer_fails_opens_again_and_not_for_ever_and_anything_else_ends_the_worker_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, starts: int
) -> None:
    monkeypatch.setattr(lanes, "Producer", Useless)
    Useless.starts, Useless.error = 0, error
    crashed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
    agent = replace(_agent(tmp_path), session_seconds=0.01)
    lane = Lane(agent, 0, read_from=lambda *_: None, pause=lambda _: None, crashed=crashed.set_result)
    lane.start()
    async with asyncio.timeout(30):
        assert await crashed is error
    assert Useless.starts == starts
    await lane.close()


@pytest.mark.anyio
async def test_a_lane_that_is_fenced_because_its_partition_was_taken_does_not_open_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "Producer", Useless)
    Useless.starts, Useless.error = 0, ProducerFenced()
    crashed: list[BaseException] = []
    lane = Lane(_agent(tmp_path), 0, read_from=lambda *_: None, pause=lambda _: None, crashed=crashed.append)
    lane.start()
    await asyncio.sleep(0)
    await lane.close()
    assert (Useless.starts, crashed) == (1, [])


@pytest.mark.anyio
async def test_lanes_compute_in_turns_and_the_loop_goes_round_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning, "SLICE_SECONDS", 0.0)
    turns, order = Turns(), list[str]()

    async def compute(name: str) -> None:
        async with turns.turn() as turn:
            for _ in range(3):
                order.append(name)
                await turn.pause()

    async def transaction() -> None:
        for _ in range(3):
            order.append("t")
            await asyncio.sleep(0)

    stuck = asyncio.create_task(compute("c"))
    await asyncio.gather(compute("a"), compute("b"), transaction())
    await stuck
    assert order.index("b") < 6
    assert [name for name in order if name != "t"] != sorted(name for name in order if name != "t"), "one by one"
    assert order.index("t") < len(order) - 6
    holder = asyncio.create_task(compute("d"))
    await asyncio.sleep(0)
    holder.cancel()
    await asyncio.wait([holder])
    async with asyncio.timeout(5), turns.turn():
        assert "d" in order, "who is cancelled gives its turn back"


@pytest.mark.anyio
async def test_a_transaction_of_many_rounds_is_written_while_others_compute_for_long() -> None:
    turns, slices = Turns(), list[int]()

    async def compute() -> None:
        async with turns.turn() as turn:
            for number in range(40):
                time.sleep(2 * turning.SLICE_SECONDS)  # noqa: ASYNC251 - as handling a record does
                slices.append(number)
                await turn.pause()

    async def transaction() -> int:
        with turns.writing:
            for _ in range(200):
                await asyncio.sleep(0)
            return len(slices)

    computing = [asyncio.create_task(compute()) for _ in range(2)]
    assert await transaction() < 80, "written before they were through"
    await asyncio.gather(*computing)
