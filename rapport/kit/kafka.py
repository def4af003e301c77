"""kafka-python, set up the one way that keeps the promises: idempotent, acks=all; read_committed."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError
from prometheus_client import Gauge

from rapport.kit import backoff, kafka_threads
from rapport.kit.kafka_login import KafkaLogin, login
from rapport.kit.probe import Probe

kafka_threads.guard()

REQUEST_MS = 15_000
BOOTSTRAP_MS = 5_000
"""Until a try to find a broker is given up, said and repeated."""


ANSWER_MS = 5_000
"""For a question that a broker answers at once if it answers at all."""


OFFSETS_KEPT_MINUTES = 90 * 24 * 60
"""As long as the log: a group that was away for less goes on where it was."""
_OFFSETS_KEPT = "offsets.retention.minutes"

SHORTFALLS = Gauge("rapport_kafka_settings_short", "Settings of topics and brokers that keep less than is promised.")


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
    """Returns once a broker answers at `bootstrap` and knows every one of the topics; tells its shortfalls."""
    wanted = list(topics)

    def attempt() -> None:
        missing = missing_topics(bootstrap, wanted)
        if missing:
            raise LookupError(f"the broker has no topic {', '.join(sorted(missing))}; `rapport stack up` makes them")

    backoff.until(attempt, what=f"Kafka at {bootstrap}", log=log, errors=(KafkaError, OSError, LookupError), wait=wait)
    tell_shortfalls(bootstrap, wanted, log)


def tell_shortfalls(bootstrap: str, topics: Iterable[Topic], log: logging.Logger) -> None:
    """Says which settings keep less than is promised, in the log and as a metric.

    They are no reason not to start: what could be lost one day is not worth an outage today.
    """
    try:
        short = shortfalls(bootstrap, topics)
    except (KafkaError, OSError) as error:
        log.warning("the settings of the topics could not be read: %s: %.300s", type(error).__name__, error)
        return
    SHORTFALLS.set(len(short))
    for each in short:
        log.error("less is kept than is promised: %s; `rapport topics` sets what topics need", each)


def missing_topics(bootstrap: str, topics: Iterable[Topic], who: KafkaLogin | None = None) -> set[str]:
    """Those of the topics that the broker does not have. Raises KafkaError where there is no broker.

    It is asked with the login `who`, else with this process's.
    """
    asked = admin(bootstrap, who=who)
    try:
        return {topic.name for topic in topics} - set(asked.list_topics())
    finally:
        asked.close()


def shortfalls(bootstrap: str, topics: Iterable[Topic], who: KafkaLogin | None = None) -> list[str]:
    """Which settings of topics and brokers keep less than they should, in words. Raises KafkaError. `who` as above."""
    asked = admin(bootstrap, who=who)
    try:
        found = [
            f"{name} of {topic} is {now}, and should be {wanted}"
            for topic, changes in _short_topics(asked, topics).items()
            for name, (now, wanted) in changes.items()
        ]
        brokers = [str(each["broker_id"]) for each in asked.describe_cluster()["brokers"]]
        for broker, settings in _settings(asked, ConfigResourceType.BROKER, brokers).items():
            now = settings.get(_OFFSETS_KEPT)
            if now is not None and int(now) < OFFSETS_KEPT_MINUTES:
                found.append(f"{_OFFSETS_KEPT} of broker {broker} is {now}, and should be {OFFSETS_KEPT_MINUTES}")
        return found
    finally:
        asked.close()


def raise_settings(bootstrap: str, topics: Iterable[Topic], who: KafkaLogin | None = None) -> list[str]:
    """Sets what is less than it should be in topics that are there, and gives their names. Nothing is lowered.

    Raises KafkaError. `who` as above.
    """
    asked = admin(bootstrap, who=who)
    try:
        short = _short_topics(asked, topics)
        resources = [
            ConfigResource(
                ConfigResourceType.TOPIC, topic, configs={name: wanted for name, (_, wanted) in each.items()}
            )
            for topic, each in short.items()
        ]
        if resources:
            asked.alter_configs(resources)
        return sorted(short)
    finally:
        asked.close()


def _short_topics(asked: Any, topics: Iterable[Topic]) -> dict[str, dict[str, tuple[str, str]]]:
    """What is set and what should be, by topic and setting."""
    there = set(asked.list_topics())
    wanted = {topic.name: topic.config for topic in topics if topic.config and topic.name in there}
    found = _settings(asked, ConfigResourceType.TOPIC, list(wanted))
    short = {
        topic: {
            name: (found[topic][name], value)
            for name, value in settings.items()
            if topic in found and name in found[topic] and _is_short(name, found[topic][name], value)
        }
        for topic, settings in wanted.items()
    }
    return {topic: settings for topic, settings in short.items() if settings}


def _is_short(name: str, now: str, wanted: str) -> bool:
    if name.endswith(".ms"):
        return 0 <= int(now) < int(wanted)  # -1 is without end
    return now != wanted


def _settings(asked: Any, kind: Any, names: list[str]) -> dict[str, dict[str, str]]:
    """All settings of topics or brokers, by their name."""
    if not names:
        return {}
    described = asked.describe_configs([ConfigResource(kind, name) for name in names], config_filter="all")
    return {
        name: {setting: str(about["value"]) for setting, about in settings.items()}
        for of_kind in described.values()
        for name, settings in of_kind.items()
    }


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
