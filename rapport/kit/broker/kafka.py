"""kafka-python clients, set up to keep the promises: idempotent producers with acks=all, read_committed consumers."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, Protocol

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError
from prometheus_client import Gauge

from rapport.kit import backoff, certificates
from rapport.kit.broker import kafka_threads
from rapport.kit.broker.kafka_login import KafkaLogin, login
from rapport.kit.health import Health
from rapport.kit.probe import Probe

kafka_threads.guard()

REQUEST_MS = 15_000
BOOTSTRAP_MS = 5_000
"""How long to look for a broker before the failure is logged and the attempt repeated."""


ANSWER_MS = 5_000
"""For a request that a broker answers at once, if at all."""


OFFSETS_KEPT_MINUTES = 90 * 24 * 60
"""As long as the log, so that a group that was away for less goes on where it was."""
_OFFSETS_KEPT = "offsets.retention.minutes"

SHORTFALLS = Gauge("rapport_kafka_settings_short", "Settings of topics and brokers that keep less than promised.")


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


def check_topics(bootstrap: str, topics: Iterable[Topic]) -> None:
    """Raises LookupError if the broker lacks a topic or one has another number of partitions, and KafkaError."""
    wanted = {topic.name: topic.partitions for topic in topics}
    with closing(admin(bootstrap)) as asked:
        missing = wanted.keys() - set(asked.list_topics())
        if missing:
            raise LookupError(f"the broker has no topic {', '.join(sorted(missing))}; `rapport topics` creates them")
        told = {each["name"]: len(each["partitions"]) for each in asked.describe_topics(sorted(wanted))}
    wrong = [f"{name} has {told[name]} instead of {count}" for name, count in wanted.items() if told[name] != count]
    if wrong:
        raise LookupError(f"the partitions are not as many as RAPPORT_PARTITIONS says: {', '.join(wrong)}")


def wait_until_there(
    bootstrap: str,
    topics: Iterable[Topic],
    log: logging.Logger,
    wait: Callable[[float], object],
    health: Health,
) -> None:
    """Returns once a broker answers at `bootstrap` and has all the topics. Logs what keeps less than promised.

    `health` is not ready meanwhile, and says which topics are not as they should be.
    """
    wanted = list(topics)
    why = ""
    if (authorities := KafkaLogin().kafka_ca) is not None:
        certificates.watch("kafka-ca", authorities)

    def tell(now: str) -> None:
        nonlocal why
        health.ready(why)
        why = now
        if why:
            health.unready(why)

    def attempt() -> None:
        try:
            check_topics(bootstrap, wanted)
        except LookupError as error:
            tell(str(error))
            raise
        tell("")

    backoff.until(attempt, what=f"Kafka at {bootstrap}", log=log, errors=(KafkaError, OSError, LookupError), wait=wait)
    tell_shortfalls(bootstrap, wanted, log)


def tell_shortfalls(bootstrap: str, topics: Iterable[Topic], log: logging.Logger) -> None:
    """Says which settings keep less than promised, in the log and as a metric.

    They do not stop the start: a possible loss one day is not worth an outage today.
    """
    try:
        short = shortfalls(bootstrap, topics)
    except (KafkaError, OSError) as error:
        log.warning("the settings of the topics could not be read: %s: %.300s", type(error).__name__, error)
        return
    SHORTFALLS.set(len(short))
    for each in short:
        log.error("less is kept than promised: %s; `rapport topics` sets what topics need", each)


def missing_topics(bootstrap: str, topics: Iterable[Topic], who: KafkaLogin | None = None) -> set[str]:
    """The topics that the broker does not have. Raises KafkaError if there is no broker.

    `who` is the login to use instead of this process's own.
    """
    with closing(admin(bootstrap, who=who)) as asked:
        return {topic.name for topic in topics} - set(asked.list_topics())


def shortfalls(bootstrap: str, topics: Iterable[Topic], who: KafkaLogin | None = None) -> list[str]:
    """Which settings of topics and brokers keep less than they should, in words. Raises KafkaError. `who` as above."""
    with closing(admin(bootstrap, who=who)) as asked:
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


def raise_settings(bootstrap: str, topics: Iterable[Topic], who: KafkaLogin | None = None) -> list[str]:
    """Raises settings of existing topics that are too low, and returns the topics' names. Nothing is lowered.

    Raises KafkaError. `who` as above.
    """
    with closing(admin(bootstrap, who=who)) as asked:
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


def _short_topics(asked: Any, topics: Iterable[Topic]) -> dict[str, dict[str, tuple[str, str]]]:
    """The current and the wanted value, by topic and setting."""
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
        return 0 <= int(now) < int(wanted)  # -1 means without end
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
    """Creates the missing topics, and returns their names. `who` as above."""
    with closing(admin(bootstrap, who=who)) as asked:
        there = set(asked.list_topics())
        missing = [topic for topic in topics if topic.name not in there]
        if missing:
            # Another process may have been faster; the topics are there.
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
