"""The topics on a broker: whether they are there, how many partitions they have, what they keep."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic, OffsetSpec
from kafka.errors import KafkaError, TopicAlreadyExistsError
from prometheus_client import Gauge

from rapport.kit import backoff, certificates
from rapport.kit.broker.kafka import REQUEST_MS, Topic, admin
from rapport.kit.broker.kafka_login import KafkaLogin
from rapport.kit.health import Health

OFFSETS_KEPT_MINUTES = 90 * 24 * 60
"""As long as the log, so that a group that was away for less goes on where it was."""
_OFFSETS_KEPT = "offsets.retention.minutes"

SHORTFALLS = Gauge("rapport_kafka_settings_short", "Settings of topics and brokers that keep less than promised.")


def check_topics(bootstrap: str, topics: Iterable[Topic]) -> None:
    """Raises LookupError if the broker lacks a topic or one has another number of partitions, and KafkaError."""
    wanted = {topic.name: topic.partitions for topic in topics}
    told = counts(bootstrap, wanted)
    wrong = [f"{name} has {told[name]} instead of {count}" for name, count in wanted.items() if told[name] != count]
    if wrong:
        raise LookupError(f"the partitions are not as many as RAPPORT_PARTITIONS says: {', '.join(wrong)}")


def counts(bootstrap: str, names: Iterable[str]) -> dict[str, int]:
    """How many partitions topics have. Raises LookupError if the broker lacks one, and KafkaError."""
    wanted = set(names)
    with closing(admin(bootstrap)) as asked:
        missing = wanted - set(asked.list_topics())
        if missing:
            raise LookupError(f"the broker has no topic {', '.join(sorted(missing))}; `rapport topics` creates them")
        return {each["name"]: len(each["partitions"]) for each in asked.describe_topics(sorted(wanted))}


def topic_id(bootstrap: str, name: str) -> str:
    """The id of a topic: another one of the same name has another id. Raises LookupError where it is not there, and
    KafkaError.
    """
    with closing(admin(bootstrap)) as asked:
        if name not in asked.list_topics():
            raise LookupError(f"the broker has no topic {name}; `rapport topics` creates it")
        return str(asked.describe_topics([name])[0]["topic_id"])


def add_partitions(bootstrap: str, names: Iterable[str], count: int) -> None:
    """Gives topics `count` partitions, and returns once they have them. Raises KafkaError and LookupError."""
    found = counts(bootstrap, names)
    fewer = {name: count for name, known in found.items() if known < count}
    if not fewer:
        return
    with closing(admin(bootstrap)) as asked:
        asked.create_partitions(fewer, timeout_ms=REQUEST_MS)
    end = time.monotonic() + REQUEST_MS / 1000
    while any(known < count for known in counts(bootstrap, fewer).values()):
        if time.monotonic() > end:
            raise KafkaError(f"{', '.join(fewer)} should have {count} partitions by now")
        time.sleep(0.2)


def offsets(bootstrap: str, partitions: Iterable[TopicPartition], which: OffsetSpec) -> dict[TopicPartition, int]:
    """The earliest or the latest offset of each partition. Raises KafkaError."""
    # A consumer's own question leaves out partitions whose leader it has to look up first (kafka-python 3.0.12).
    with closing(admin(bootstrap)) as asked:
        found = asked.list_partition_offsets(dict.fromkeys(partitions, which))
    return {each: known.offset for each, known in found.items()}


def offsets_since(bootstrap: str, since: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
    """The first offset of each partition that is of a time, in ms, or later; None where there is none.

    Raises KafkaError.
    """
    with closing(admin(bootstrap)) as asked:
        found = asked.list_partition_offsets(dict(since)) if since else {}
    return {each: known.offset if known.offset >= 0 else None for each, known in found.items()}


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
