"""kafka-python clients, set up to keep the promises: idempotent producers with acks=all, read_committed consumers."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from rapport.kit.broker import kafka_threads
from rapport.kit.broker.kafka_login import KafkaLogin, login
from rapport.kit.probe import Probe

kafka_threads.guard()

REQUEST_MS = 15_000
BOOTSTRAP_MS = 5_000
"""How long to look for a broker before the failure is logged and the attempt repeated."""


ANSWER_MS = 5_000
"""For a request that a broker answers at once, if at all."""


class Topic(Protocol):
    """What is needed to create a topic, or to check it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def partitions(self) -> int:
        """How many partitions it has."""

    @property
    def config(self) -> dict[str, str]:
        """Its settings on the broker."""


def _servers(bootstrap: str) -> list[str]:
    return [server.strip() for server in bootstrap.split(",")]


def admin(bootstrap: str, timeout_ms: int = REQUEST_MS, who: KafkaLogin | None = None) -> Any:
    """A KafkaAdminClient. Raises KafkaError if there is no broker."""
    return KafkaAdminClient(
        bootstrap_servers=_servers(bootstrap),
        request_timeout_ms=timeout_ms,
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        **login(who),
    )


class Asked:
    """An admin client that asks the same question again and again. It is replaced after a failure."""

    def __init__(self, bootstrap: str, question: Callable[[Any], Any]) -> None:
        """`question` is called with the admin client, by one thread at a time."""
        self._bootstrap = bootstrap
        self._question = question
        self._admin: Any = None

    def __call__(self) -> Any:
        """The answer. Raises KafkaError or OSError."""
        try:
            if self._admin is None:
                self._admin = admin(self._bootstrap, ANSWER_MS)
            return self._question(self._admin)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the connections."""
        if self._admin is not None:
            with contextlib.suppress(KafkaError, OSError):
                self._admin.close()
            self._admin = None


def partitions_of(topics: Iterable[Topic]) -> list[TopicPartition]:
    """All partitions of topics."""
    return [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]


def name_of(partition: TopicPartition) -> str:
    """A partition as it is named in words, rows and files."""
    return f"{partition.topic}:{partition.partition}"


def probe(name: str, bootstrap: str) -> Probe:
    """Probes whether a broker answers."""
    asked = Asked(bootstrap, lambda found: found.describe_cluster())
    return Probe(name, asked, close=asked.close)


def producer(bootstrap: str, client_id: str) -> Any:
    """A KafkaProducer whose acknowledgement means that all in-sync replicas have the record, once."""
    return KafkaProducer(
        bootstrap_servers=_servers(bootstrap),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=2,  # so that requests at the door share a batch; less than a request itself takes
        max_block_ms=REQUEST_MS,
        delivery_timeout_ms=30_000,
        request_timeout_ms=REQUEST_MS,
        **login(),
    )


def abandon(found: Any) -> None:
    """Closes a KafkaProducer without waiting for the broker; unsent records fail. Uses a thread of its own.

    An outage of more than its delivery timeout can leave it waiting for a producer id for good (kafka-python 3.0.12),
    and its own `close` gives up, with the thread still running, on the first record that it cannot flush.
    """

    def end() -> None:
        sender = found._sender
        sender.force_close()
        sender.join(2 * REQUEST_MS / 1000)
        with contextlib.suppress(KafkaError):
            found.close(timeout=1)

    threading.Thread(target=end, name="abandoned producer", daemon=True).start()


def committed(bootstrap: str, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Where a group is, by partition; partitions without a position are left out. Raises KafkaError.

    It waits for a coordinator that is just being elected, unlike the admin client, and does not join the group.
    """
    with closing(consumer(bootstrap, group, "rapport-positions")) as asked:
        found = {each: asked.committed(each) for each in partitions}
        return {each: at for each, at in found.items() if at is not None}


def consumer(bootstrap: str, group: str | None, client_id: str, **more: Any) -> Any:
    """A KafkaConsumer that sees only committed records, starts at the earliest, and commits when told to."""
    options: dict[str, Any] = {
        "auto_offset_reset": "earliest",
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
        **login(),
        **more,
    }
    return KafkaConsumer(
        bootstrap_servers=_servers(bootstrap),
        group_id=group,
        client_id=client_id,
        isolation_level="read_committed",
        enable_auto_commit=False,
        **options,
    )
