"""The accounts of all brands, as the API publishes them in the compacted brands topic."""

import logging
import threading
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from kafka import TopicPartition

from rapport.contracts.brands import Brands
from rapport.contracts.events import Account
from rapport.contracts.topics import BRANDS, CATALOGUE
from rapport.kit import backoff
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.health import Health
from rapport.kit.sealing import Sealer
from services.ingest import metrics

POLL_MS = 300
"""How soon a new account can be used after the API has published it."""
STOP_SECONDS = 6.0

NOT_READ = "brands topic not read yet"
KAFKA_GONE = "kafka does not answer"


class Directory:
    """Every account by its id, kept current by a thread. Look-ups need no lock: a new mapping replaces the old one."""

    def __init__(self, bootstrap: str, health: Health, log: logging.Logger, sealer: Sealer | None = None) -> None:
        self._bootstrap = bootstrap
        self._health = health
        self._log = log
        self._changed: Callable[[], None] = lambda: None
        self._brands = Brands((sealer or Sealer()).open)
        self._accounts: MappingProxyType[str, tuple[str, Account]] = MappingProxyType({})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="directory", daemon=True)

    def listen(self, changed: Callable[[], None]) -> None:
        """`changed` is called on the thread once the whole topic has been read, and after each change from then on."""
        self._changed = changed

    def start(self) -> None:
        """Starts to read. Waits for Kafka as long as it takes."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def account(self, id: str) -> tuple[str, Account] | None:
        """The brand and the account with this id."""
        return self._accounts.get(id)

    def hidden(self) -> bool:
        """Whether a brand's newest record cannot be read, so that an unknown account may belong to it."""
        return bool(self._brands.hidden())

    def accounts(self) -> MappingProxyType[str, tuple[str, Account]]:
        """Brand and account by account id, as of now."""
        return self._accounts

    def _run(self) -> None:
        delays = backoff.delays()
        while not self._stop.is_set():
            try:
                kafka_topics.wait_until_there(self._bootstrap, CATALOGUE, self._log, self._wait, self._health)
                self._follow()
            except _StoppedError:
                return
            except Exception as error:  # the door needs the directory whatever happens: log it and start over
                self._health.unready(KAFKA_GONE)
                self._log.warning("reading %s failed (%s: %s); starting over", BRANDS.name, type(error).__name__, error)
                self._stop.wait(next(delays))

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise _StoppedError

    def _follow(self) -> None:
        consumer = kafka.consumer(self._bootstrap, None, "rapport-ingest-directory", fetch_max_wait_ms=POLL_MS)
        try:
            partition = TopicPartition(BRANDS.name, 0)
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            end = consumer.end_offsets([partition])[partition]
            self._read_to(consumer, partition, end)
            self._health.ready(KAFKA_GONE)
            self._health.ready(NOT_READ)
            self._log.info("%d brands, %d accounts", len(self._brands), len(self._accounts))
            self._changed()
            while not self._stop.is_set():
                if self._take(consumer.poll(timeout_ms=POLL_MS)):
                    self._changed()
        finally:
            consumer.close()

    def _read_to(self, consumer: Any, partition: TopicPartition, end: int) -> None:
        while consumer.position(partition) < end:
            if self._stop.is_set():
                raise _StoppedError
            self._take(consumer.poll(timeout_ms=POLL_MS))

    def _take(self, polled: dict[TopicPartition, list[Any]]) -> bool:
        records = [record for batch in polled.values() for record in batch]
        for record in records:
            self._brands.take(record)
        if records:
            self._index()
        return bool(records)

    def _index(self) -> None:
        accounts: dict[str, tuple[str, Account]] = {}
        for brand in self._brands:
            for account in brand.accounts:
                accounts[account.id] = (brand.id, account)
        self._accounts = MappingProxyType(accounts)
        count: dict[str, int] = {}
        for _, account in accounts.values():
            count[account.platform] = count.get(account.platform, 0) + 1
        metrics.HIDDEN.set(len(self._brands.hidden()))
        metrics.ACCOUNTS.clear()
        for platform, number in count.items():
            metrics.ACCOUNTS.labels(platform).set(number)


class _StoppedError(Exception):
    """The service is ending while the directory waits."""
