"""`rapport positions` on a broker on which no scorer ever ran."""

import json

import aiokafka.errors
import kafka.errors
import pytest
from typer.testing import CliRunner

from rapport.cli import app
from rapport.contracts.topics import CONVERSATIONS
from rapport.local.servers.stack import Running
from services.scorer import positions

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
