"""How a lane ends where its end and the group's word meet. The lanes on a real broker are in `test_fenced_batches`."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import ProducerFenced

from services.scorer.fenced import lane as lanes
from services.scorer.fenced.agent import Agent
from services.scorer.fenced.lane import Lane
from services.scorer.fenced.state import Store


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
