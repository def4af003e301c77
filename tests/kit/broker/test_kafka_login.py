"""Every Kafka client of the product logs in, and a login is never shown."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from rapport.kit.broker.kafka_login import KafkaLogin, login
from rapport.kit.config import ServiceSettings

ROOT = Path(__file__).parents[3]
CLIENTS = {
    "KafkaConsumer",
    "KafkaProducer",
    "KafkaAdminClient",
    "AIOKafkaConsumer",
    "AIOKafkaProducer",
    "AIOKafkaAdminClient",
}


def clients_without_a_login(source: str) -> Iterator[int]:
    """The lines that make a client without `**login()`, or without options that were made with it."""
    tree = ast.parse(source)
    options_with_it = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict)
        for target in ([node.target] if isinstance(node, ast.AnnAssign) else node.targets)
        if isinstance(target, ast.Name)
        and any(
            key is None and ast.unparse(value).startswith("login(")
            for key, value in zip(node.value.keys, node.value.values, strict=True)
        )
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] not in CLIENTS:
            continue
        spread = {ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg is None}
        if not any(name in options_with_it or name.startswith("login(") for name in spread):
            yield node.lineno


@pytest.mark.parametrize("folder", ["rapport", "services", "bench"])
def test_every_client_logs_in(folder: str) -> None:
    without = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in (ROOT / folder).rglob("*.py")
        for number in clients_without_a_login(path.read_text())
    ]
    assert without == []


def test_a_client_without_a_login_is_found() -> None:
    assert list(clients_without_a_login("KafkaConsumer(bootstrap_servers=x)")) == [1]
    assert list(clients_without_a_login("a = {'x': 1, **login()}\nKafkaConsumer(**a)")) == []


def test_without_user_and_password_the_broker_is_asked_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAPPORT_KAFKA_USER", raising=False)
    monkeypatch.delenv("RAPPORT_KAFKA_PASSWORD", raising=False)
    assert login() == {}


def test_one_without_the_other_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA_PASSWORD", "hunter2")
    monkeypatch.delenv("RAPPORT_KAFKA_USER", raising=False)
    with pytest.raises(ValidationError, match="needed together") as raised:
        login()
    assert "hunter2" not in str(raised.value)


def test_the_password_is_not_in_what_a_service_says_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA_USER", "rapport")
    monkeypatch.setenv("RAPPORT_KAFKA_PASSWORD", "hunter2")
    assert "kafka_user=rapport" in ServiceSettings(port=1).described()
    assert "hunter2" not in ServiceSettings(port=1).described() + repr(KafkaLogin())
    assert login()["sasl_plain_password"] == "hunter2"
