"""Bluesky read by several ingest processes: one that goes is replaced, and nothing it saw is forgotten."""

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts import codec
from rapport.contracts.events import Brand, Interaction
from rapport.contracts.topics import CURSORS
from services.ingest.connectors.older_ledger import OlderLedger
from tests.platforms.bluesky.network import Network
from tests.services.ingest.connectors.bluesky.test_jetstream import FAN, LIKE, brand_on, like, microseconds
from tests.services.ingest.jetstream import Jetstream, commit
from tests.services.ingest.people import Seen, accounts_read, newcomer, on_bluesky
from tests.services.ingest.service import Ingest, Log, brand_with, publish
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.long]

REPLACED_WITHIN_SECONDS = 30.0
LEASES = "rapport_ingest_leases"


@pytest.fixture
def jetstream() -> Iterator[Jetstream]:
    with Jetstream() as peer:
        yield peer


@pytest.fixture
def two(stack: Any, tmp_path: Path) -> Iterator[tuple[Ingest, Ingest]]:
    """Two processes, not started, each with a disk of its own."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    made = Ingest(stack.kafka, tmp_path / "one"), Ingest(stack.kafka, tmp_path / "two")
    yield made
    for each in made:
        each.close()


class Likes:
    """What a fan likes of each brand, and takes back."""

    def __init__(self, jetstream: Jetstream, log: Log, brands: list[Brand]) -> None:
        self._jetstream, self._log, self.brands = jetstream, log, brands
        self._at = microseconds(datetime.now(UTC))
        self._all: list[Interaction] = []
        self._read = 0

    def now(self) -> int:
        """A time of the stream: later than the one before."""
        self._at = max(self._at + 1, microseconds(datetime.now(UTC)))
        return self._at

    def all(self, name: str) -> None:
        """One of each brand."""
        for number, brand in enumerate(self.brands):
            at = self.now()
            self._jetstream.send(at, like(brand, at, f"{name}-{number}"))

    def take_back(self, name: str) -> None:
        """Those."""
        for number in range(len(self.brands)):
            at = self.now()
            self._jetstream.send(at, commit(FAN, at, LIKE, f"{name}-{number}", operation="delete"))

    def found(self, name: str, *, undo: bool = False) -> list[list[Interaction]]:
        """What came of them, by brand, however often."""
        self._log.interactions("")
        for record in self._log.records[self._read :]:
            if codec.type_of(record.headers) == "rapport.interaction.v1":
                self._all.append(codec.decode("rapport.interaction.v1", record.value))
        self._read = len(self._log.records)
        return [
            [
                one for one in self._all
                if one.brand == brand.id and one.undo == undo and one.object.id.endswith(f"/{name}-{number}")
            ]
            for number, brand in enumerate(self.brands)
        ]  # fmt: skip

    def arrive(self, name: str, *, undo: bool = False, within: float = 60.0) -> None:
        """Waits until there is at least one of each."""
        until(lambda: all(self.found(name, undo=undo)), f"all of {name}, undo {undo}", within)


def shared(*processes: Ingest) -> None:
    """Waits until they share all partitions."""

    def now() -> bool:
        held = [each.metric(LEASES) for each in processes]
        return min(held) > 0 and sum(held) == CURSORS.partitions

    until(now, "them to share the accounts")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=lambda one: one.name)
def test_a_process_that_goes_is_replaced_within_30_seconds_and_nothing_it_saw_is_forgotten(
    stack: Any, two: tuple[Ingest, Ingest], jetstream: Jetstream, log: Log, how: signal.Signals
) -> None:
    one, _ = two
    likes = Likes(jetstream, log, [brand_on(jetstream) for _ in range(24)])
    publish(stack.kafka, *likes.brands)
    for each in two:
        each.start().ready()
    shared(*two)
    until(lambda: len(jetstream.open()) == 2, "one connection of each")
    likes.all("before")
    likes.arrive("before")
    if how is signal.SIGSTOP:
        os.kill(one.pid, how)
    else:
        one.stop(how)
    gone = time.monotonic()
    likes.all("meanwhile")
    likes.take_back("before")
    likes.arrive("meanwhile", within=REPLACED_WITHIN_SECONDS)
    likes.arrive("before", undo=True, within=max(1.0, REPLACED_WITHIN_SECONDS - (time.monotonic() - gone)))
    if how is signal.SIGSTOP:
        # It wakes up, believes that the accounts are its own, and finds out that they are not.
        noticed = one.log.read_text().count("is not read here any more")
        os.kill(one.pid, signal.SIGCONT)
        until(lambda: one.log.read_text().count("is not read here any more") > noticed, "it to find out")
        shared(*two)
        until(lambda: len(jetstream.open()) == 2, "one connection of each")
    likes.all("after")
    likes.arrive("after")
    # What comes twice has the same id, and what was taken back says what it was.
    for name, undo in (("before", False), ("meanwhile", False), ("before", True), ("after", False)):
        for found in likes.found(name, undo=undo):
            assert len({each.id for each in found}) == 1
            assert {each.kind for each in found} == {"reaction"}


def test_what_two_processes_read_is_in_the_log_once(
    stack: Any, two: tuple[Ingest, Ingest], jetstream: Jetstream, log: Log
) -> None:
    likes = Likes(jetstream, log, [brand_on(jetstream) for _ in range(24)])
    publish(stack.kafka, *likes.brands)
    for each in two:
        each.start().ready()
    shared(*two)
    likes.all("first")
    likes.arrive("first")
    # Those who have just been given a partition may read some of it twice. From here on nobody does.
    likes.all("second")
    likes.arrive("second")
    likes.all("last")
    likes.arrive("last")
    assert [len(found) for found in likes.found("second")] == [1] * len(likes.brands)


def test_a_restart_goes_on_where_it_was_and_reads_only_what_came_since(
    stack: Any, own_ingest: Ingest, jetstream: Jetstream, log: Log
) -> None:
    likes = Likes(jetstream, log, [brand_on(jetstream) for _ in range(24)])
    publish(stack.kafka, *likes.brands)
    own_ingest.start().ready()
    likes.all("before")
    likes.arrive("before")
    own_ingest.stop(signal.SIGKILL)
    likes.all("meanwhile")
    likes.take_back("before")
    own_ingest.start().ready()
    likes.arrive("meanwhile")
    likes.arrive("before", undo=True)
    told = [line for line in own_ingest.log.read_text().splitlines() if "the copy of" in line]
    counts = [int(line.partition(" s and ")[2].partition(" ")[0]) for line in told if "is complete" in line]
    # Of the second start, only what the first had written and not read again yet.
    assert len(counts) == 2
    assert counts[1] <= 12 * len(likes.brands) < counts[0] + 12 * len(likes.brands)


def test_what_people_did_on_a_real_server_is_taken_back_after_another_process_has_taken_over(
    stack: Any, two: tuple[Ingest, Ingest], bluesky: Network, log: Log
) -> None:
    fan, shop = newcomer(bluesky, "fan"), newcomer(bluesky, "shop")
    brand = brand_with(on_bluesky(shop))
    publish(stack.kafka, brand)
    seen = Seen(log, brand)
    one, other = two
    one.start().ready()
    until(
        lambda: one.metric(LEASES) == CURSORS.partitions and accounts_read(one, bluesky) > 0,
        "the account to be read for",
    )
    post = shop.post("Open on Sunday")
    like, follow = fan.like(post), fan.follow(shop)
    comment = fan.post("At last", reply=post)
    for each in (like, follow, comment):
        seen.of(each)
    one.stop(signal.SIGKILL)
    missed = fan.post("And Monday?", reply=post)
    for each in (like, follow, comment):
        fan.delete(each)
    other.start().ready()
    assert seen.of(missed).kind == "comment"
    assert [seen.undone(each).kind for each in (like, follow, comment)] == ["reaction", "follow", "delete"]


def test_the_ledger_of_an_older_version_moves_and_another_process_finds_it(
    stack: Any, two: tuple[Ingest, Ingest], jetstream: Jetstream, log: Log, tmp_path: Path
) -> None:
    likes = Likes(jetstream, log, [brand_on(jetstream)])
    account = likes.brands[0].accounts[0]
    folder = tmp_path / "one" / "ingest"
    OlderLedger(folder / "bluesky.sqlite").close()
    position = likes.now() - 5_000_000
    with contextlib.closing(sqlite3.connect(folder / "bluesky.sqlite")) as file:
        file.executemany(
            "INSERT INTO seen VALUES (?, ?, 'reaction', ?, NULL, 'at://post', ?, NULL, 'r', 0, NULL, NULL)",
            [(f"at://{FAN}/{LIKE}/{name}-0", account.id, f"c:{FAN}", FAN) for name in ("early", "late", "much")]
            + [(f"at://{FAN}/{LIKE}/x{number}", account.id, f"c:{FAN}", FAN) for number in range(2_000)],
        )
        source = f"{jetstream.address}/subscribe"
        file.execute("INSERT INTO cursor VALUES (?, ?)", (source, position))
        file.execute("INSERT INTO joined VALUES (?, ?)", (source, account.id))
        file.commit()
    publish(stack.kafka, *likes.brands)
    one, other = two
    one.start().ready()
    until(lambda: bool(jetstream.queries), "a connection")
    # What it knew is known from the first moment on, and reading goes on where it was.
    likes.take_back("early")
    likes.arrive("early", undo=True)
    assert jetstream.cursors()[0] == position - 5_000_000
    until(lambda: one.metric('rapport_ingest_ledger_unmoved{platform="bluesky"}') == 0, "it to move")
    until(lambda: "has moved" in one.log.read_text(), "it to move")
    assert one.stop() == 0
    other.start().ready()
    until(lambda: other.metric(LEASES) == CURSORS.partitions, "the other to read it")
    likes.take_back("late")
    likes.arrive("late", undo=True)
    assert [each.kind for each in likes.found("late", undo=True)[0]] == ["reaction"]
