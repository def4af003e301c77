"""kafka-python, set up the one way that keeps the promises: idempotent, acks=all; read_committed."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from rapport.kit import backoff
from rapport.kit.kafka_login import KafkaLogin, login
from rapport.kit.probe import Probe

REQUEST_MS = 15_000
BOOTSTRAP_MS = 5_000
"""Until a try to find a broker is given up, said and repeated."""


ANSWER_MS = 5_000
"""For a question that a broker answers at once if it answers at all."""


class Topic(Protocol):
    """What is needed to make a topic, or to recognise it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def partitions(self) -> int:
        """How many it has."""

    @property
    def config(self) -> dict[str, str]:
        """The broker's settings for it."""


def _servers(bootstrap: str) -> list[str]:
    return [server.strip() for server in bootstrap.split(",")]


def admin(bootstrap: str, timeout_ms: int = REQUEST_MS, who: KafkaLogin | None = None) -> Any:
    """A KafkaAdminClient. Raises KafkaError where there is no broker."""
    return KafkaAdminClient(
        bootstrap_servers=_servers(bootstrap),
        request_timeout_ms=timeout_ms,
        bootstrap_timeout_ms=BOOTSTRAP_MS,
        **login(who),
    )


class Asked:
    """An admin client for one question again and again; it is replaced after it has failed."""

    def __init__(self, bootstrap: str, question: Callable[[Any], Any]) -> None:
        """`question` is called with the admin client, on one thread at a time."""
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
        """Ends the connections."""
        if self._admin is not None:
            with contextlib.suppress(KafkaError, OSError):
                self._admin.close()
            self._admin = None


def probe(name: str, bootstrap: str) -> Probe:
    """Knows whether a broker answers."""
    asked = Asked(bootstrap, lambda found: found.describe_cluster())
    return Probe(name, asked, close=asked.close)


def wait_until_there(
    bootstrap: str, topics: Iterable[Topic], log: logging.Logger, wait: Callable[[float], object]
) -> None:
    """Returns once a broker answers at `bootstrap` and knows every one of the topics."""
    wanted = list(topics)

    def attempt() -> None:
        missing = missing_topics(bootstrap, wanted)
        if missing:
            raise LookupError(f"the broker has no topic {', '.join(sorted(missing))}; `rapport stack up` makes them")

    backoff.until(attempt, what=f"Kafka at {bootstrap}", log=log, errors=(KafkaError, OSError, LookupError), wait=wait)


def missing_topics(bootstrap: str, topics: Iterable[Topic], who: KafkaLogin | None = None) -> set[str]:
    """Those of the topics that the broker does not have. Raises KafkaError where there is no broker.

    It is asked with the login `who`, else with this process's.
    """
    asked = admin(bootstrap, who=who)
    try:
        return {topic.name for topic in topics} - set(asked.list_topics())
    finally:
        asked.close()


def create_topics(
    bootstrap: str, replication: int, topics: Iterable[Topic], who: KafkaLogin | None = None
) -> list[str]:
    """Makes those topics that are not there yet, and gives their names. `who` as above."""
    asked = admin(bootstrap, who=who)
    try:
        there = set(asked.list_topics())
        missing = [topic for topic in topics if topic.name not in there]
        if missing:
            # Another starter may be faster; the names are what we wanted.
            with contextlib.suppress(TopicAlreadyExistsError):
                asked.create_topics(
                    [
                        NewTopic(
                            name=topic.name,
                            num_partitions=topic.partitions,
                            replication_factor=replication,
                            topic_configs=topic.config,
                        )
                        for topic in missing
                    ]
                )
        return [topic.name for topic in missing]
    finally:
        asked.close()


def producer(bootstrap: str, client_id: str) -> Any:
    """A KafkaProducer whose acknowledgement means that all in-sync replicas have the record, once."""
    return KafkaProducer(
        bootstrap_servers=_servers(bootstrap),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=2,  # one poll of the door's requests shares a batch; less than a request itself takes
        max_block_ms=REQUEST_MS,
        delivery_timeout_ms=30_000,
        request_timeout_ms=REQUEST_MS,
        **login(),
    )


def abandon(found: Any) -> None:
    """Ends a KafkaProducer without waiting for the broker; what it has not sent fails. Takes a thread of its own.

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


def consumer(bootstrap: str, group: str | None, client_id: str, **more: Any) -> Any:
    """A KafkaConsumer that sees committed records only, starts at the earliest, and commits when told to."""
    return KafkaConsumer(
        bootstrap_servers=_servers(bootstrap),
        group_id=group,
        client_id=client_id,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        **login(),
        **more,
    )


def wrong_partitions(bootstrap: str, topics: Iterable[Topic]) -> str:
    """Says which of the topics have another number of partitions than they should; empty where all fit."""
    reader = KafkaConsumer(bootstrap_servers=_servers(bootstrap), **login())
    try:
        counts = [(topic, len(reader.partitions_for_topic(topic.name) or ())) for topic in topics]
        return ", ".join(
            f"{topic.name} has {count} instead of {topic.partitions}"
            for topic, count in counts
            if count != topic.partitions
        )
    finally:
        reader.close()
