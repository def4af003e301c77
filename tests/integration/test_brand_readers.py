"""Every process that reads the brands' topic takes the newest record of a brand, whatever came last."""

import ast
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from rapport.contracts import codec
from rapport.contracts.events import Account, Brand, MailChannel
from rapport.contracts.topics import BRANDS, key_of
from rapport.kit import mongo
from rapport.kit.broker import kafka
from rapport.kit.health import Health
from rapport.local.servers.stack import Running
from services.backup.settings import take_newer
from services.ingest.directory import Directory as IngestDirectory
from services.notifier.directory import Directory as NotifierDirectory
from tests.waiting import until

pytestmark = pytest.mark.stack

SERVICES = Path(__file__).parents[2] / "services"
Knows = Callable[[str], bool]
"""Whether the account and the channel of this name, of the brand under test, are known."""
AFTER_ALL = 2**40
"""An offset after everything, where only brands are of interest."""


@contextlib.contextmanager
def ingest(stack: Running, brand: str) -> Iterator[Knows]:
    directory = IngestDirectory(stack.kafka, Health(), logging.getLogger("test"))
    directory.start()
    try:
        yield lambda name: directory.account(f"{brand}-{name}") is not None
    finally:
        directory.stop()


@contextlib.contextmanager
def notifier(stack: Running, brand: str) -> Iterator[Knows]:
    directory = NotifierDirectory.caught_up(stack.kafka)

    def knows(name: str) -> bool:
        directory.catch_up()
        return directory.channel(brand, f"{brand}-{name}") is not None

    try:
        yield knows
    finally:
        directory.close()


@contextlib.contextmanager
def restore(stack: Running, brand: str) -> Iterator[Knows]:
    name = f"restored_{uuid.uuid4().hex}"
    with mongo.client(stack.mongodb) as client:

        def knows(account: str) -> bool:
            client.drop_database(name)  # it is done once, after MongoDB was restored
            take_newer(stack.kafka, client[name], AFTER_ALL)
            return client[name]["accounts"].count_documents({"_id": f"{brand}-{account}", "disconnected_at": None}) == 1

        try:
            yield knows
        finally:
            client.drop_database(name)


READERS = {
    "services/backup/settings.py": restore,
    "services/ingest/directory.py": ingest,
    "services/notifier/directory.py": notifier,
}


def test_every_reader_is_here() -> None:
    found = {
        str(path.relative_to(SERVICES.parent))
        for path in SERVICES.rglob("*.py")
        if "rapport.contracts.brands" in {getattr(node, "module", "") for node in ast.walk(ast.parse(path.read_text()))}
        or ("BRANDS" in path.read_text() and "kafka.consumer(" in path.read_text())
    }
    assert found == set(READERS)


class Log:
    """Writes records of one brand, each with an account and a channel of its own name."""

    def __init__(self, bootstrap: str) -> None:
        self.brand = f"brand-{uuid.uuid4().hex[:12]}"
        self._producer = kafka.producer(bootstrap, "test")

    def close(self) -> None:
        self._producer.close()

    def write(self, name: str, revision: int = 0, event: str = "") -> None:
        named = f"{self.brand}-{name}"
        account = Account(
            id=named,
            platform="helpdesk",
            handle="a",
            connected_at=datetime(2026, 1, 1, tzinfo=UTC),
            door_secrets=("s",),
        )
        channels = (MailChannel(id=named, to="team@acme.example"),)
        brand = Brand(
            id=self.brand, name="A", timezone="UTC", accounts=(account,), channels=channels, revision=revision
        )
        fields = msgspec.to_builtins(brand)
        if not revision:
            del fields["revision"]  # as it was written before there was one
        self.write_raw(key_of(self.brand), msgspec.json.encode(fields), event or uuid.uuid4().hex)

    def write_raw(self, key: bytes, value: bytes | None, event: str) -> None:
        headers = codec.headers("rapport.brand.v1", id=event, source="/test")
        self._producer.send(BRANDS.name, value, key, headers=headers).get(30)


@pytest.fixture
def log(stack: Running) -> Iterator[Log]:
    found = Log(stack.kafka)
    try:
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("reader", READERS)
def test_an_older_record_that_comes_last_is_passed_over(stack: Running, log: Log, reader: str) -> None:
    with READERS[reader](stack, log.brand) as knows:
        log.write("newer", revision=7)
        log.write("older", revision=6)
        log.write("other", revision=1)
        until(lambda: knows("newer"), "the newer one")
        log.write("newest", revision=8)
        until(lambda: knows("newest"), "the newest one")
        log.write("older", revision=6)
        log.write("same", revision=8)  # what was stored since is told under the same revision
        until(lambda: knows("same"), "the last of the same revision")
        assert not knows("older")
    with READERS[reader](stack, log.brand) as knows:
        until(lambda: knows("same"), "what the first reader knew")
        assert not knows("older")


@pytest.mark.parametrize("reader", READERS)
def test_records_from_before_there_were_revisions_are_read(stack: Running, log: Log, reader: str) -> None:
    with READERS[reader](stack, log.brand) as knows:
        log.write("first")
        until(lambda: knows("first"), "one without any")
        log.write("second", event=f"{log.brand}/4")
        log.write("late", event=f"{log.brand}/3")
        until(lambda: knows("second"), "one that has it in its id")
        assert not knows("late")
        log.write("third", revision=5)
        until(lambda: knows("third"), "one that has it as a field")
        log.write("late", event=f"{log.brand}/4")
        log.write("unknown")
        until(lambda: knows("unknown"), "one that does not say")
        assert not knows("late")


@pytest.mark.parametrize("reader", READERS)
def test_a_record_that_nothing_can_be_made_of_stops_no_reader(stack: Running, log: Log, reader: str) -> None:
    with READERS[reader](stack, log.brand) as knows:
        log.write("good", revision=1)
        log.write_raw(key_of(log.brand), b"\xff", "x/y/" + "9" * 5000)
        log.write_raw(key_of(log.brand), b"{}", "")
        log.write_raw(b"\xffno key", None, "")
        log.write_raw(b"", b"{}", "")
        log.write_raw(b"", None, "")
        log.write("better", revision=2)
        until(lambda: knows("better"), "the next good one")
