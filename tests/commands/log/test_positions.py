"""`rapport positions` on a broker on which no scorer ever ran."""

import gc
import json

import aiokafka.errors
import kafka.errors
import pytest
from aiokafka import TopicPartition
from typer.testing import CliRunner

from rapport.cli import app
from rapport.contracts.topics import CONVERSATIONS
from rapport.local.servers.stack import Running
from services.scorer import positions
from services.scorer.fenced.position import Standing, Trouble
from services.scorer.fenced.producer import Producer
from services.scorer.fenced.state import Position

pytestmark = pytest.mark.stack


def test_where_no_scorer_ran_there_are_no_positions_and_nothing_is_wrong(own: Running) -> None:
    result = CliRunner().invoke(app, ["positions", "list", "--json", "--kafka", own.kafka])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert {each["partition"].partition(":")[0] for each in found} >= {CONVERSATIONS.name}
    assert {(each["rows"], each["group"], each["trouble"]) for each in found} == {(None, None, None)}


@pytest.mark.parametrize(
    "error", [aiokafka.errors.GroupCoordinatorNotAvailableError, kafka.errors.CoordinatorNotAvailableError]
)
def test_a_kafka_that_keeps_no_positions_is_described_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def look(*_: object) -> None:
        raise error("FindCoordinatorRequest failed")

    monkeypatch.setattr(positions, "look", look)
    result = CliRunner().invoke(app, ["positions", "list", "--kafka", "kafka:9092"])
    assert result.exit_code == 1
    assert "rapport: Kafka at kafka:9092 keeps no positions of groups yet: no scorer has run there" in result.stderr
    assert "Coordinator" not in result.stderr


def test_a_scorer_that_takes_its_partition_back_meanwhile_is_named_in_a_sentence(
    own: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    agent = positions._agents(own.kafka)[0]
    source = TopicPartition(CONVERSATIONS.name, 0)
    troubled = Standing(source, agent.group, 5, 5, 0, 0, 10, Trouble.RECREATED)

    async def known(*_: object) -> Position:
        return Position({}, 0)

    async def while_a_scorer_starts(*_: object) -> list[Standing]:
        scorer = Producer(agent, 0)
        await scorer.start()
        await scorer.stop()
        return [troubled]

    monkeypatch.setattr(positions, "look", lambda *_: [positions.Found(agent.name, troubled)])
    monkeypatch.setattr(positions, "_position", known)
    monkeypatch.setattr(positions, "standings_of", while_a_scorer_starts)
    result = CliRunner().invoke(app, ["positions", "accept", "--yes", "--kafka", own.kafka])
    gc.collect()
    assert result.exit_code == 1
    assert "rapport: a scorer that runs has taken a partition back: stop all scorers, and try again" in result.stderr
    # Nothing of the scorer's that was stopped. Threads of other tests may still be ending.
    assert [each.name for each in caplog.records if each.name != "rapport.health"] == []
