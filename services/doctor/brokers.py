"""Kafka: brokers, topics, groups, lag, ticks and dead letters."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError
from kafka.protocol.broker_version_data import infer_broker_version_from_api_versions

from rapport.contracts import codec
from rapport.contracts.topics import (
    CATALOGUE,
    CONVERSATIONS,
    DEAD_LETTERS,
    ENGAGEMENTS,
    EXCHANGES,
    NOTIFIER_GROUP,
    PROJECTOR_GROUP,
    SCORER_GROUP,
    Topic,
)
from rapport.domain.figures import counted
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.group import STABLE
from rapport.kit.broker.member import described
from services.api.projector.batch import SOURCES as PROJECTED
from services.doctor.finding import Findings
from services.notifier.consumer import SOURCES as NOTIFIED

GROUPS: Mapping[str, Sequence[Topic]] = {
    SCORER_GROUP: (CONVERSATIONS, ENGAGEMENTS, EXCHANGES),
    PROJECTOR_GROUP: PROJECTED,
    NOTIFIER_GROUP: NOTIFIED,
}
OLDEST = (4, 0)
MUCH_LAG = 10_000
"""Records. An import makes more, and so does an outage."""
TICK_SECONDS = 60.0
"""The scorer writes a tick into each partition every few seconds."""
ANSWER_SECONDS = 15.0


def look(bootstrap: str, found: Findings) -> None:
    """Checks what can be asked of Kafka."""
    with found.about("kafka", KafkaError, OSError):
        missing = kafka_topics.missing_topics(bootstrap, CATALOGUE)
        found.all_fine(
            "topics",
            (f"{name} is missing: `rapport topics` creates it" for name in sorted(missing)),
            f"all {len(CATALOGUE)} are there",
        )
        there = [topic for topic in CATALOGUE if topic.name not in missing]
        try:
            kafka_topics.check_topics(bootstrap, there)
        except LookupError as error:
            found.wrong("partitions", str(error))
        else:
            found.fine("partitions", f"{CONVERSATIONS.partitions}, as RAPPORT_PARTITIONS says")
        found.all_fine("retention", kafka_topics.shortfalls(bootstrap, there), "as long as promised")
        _replicas(bootstrap, there, found)
        with contextlib.closing(kafka.consumer(bootstrap, None, "rapport-doctor")) as reader:
            ends = reader.end_offsets(kafka.partitions_of(there))
            for group, topics in GROUPS.items():
                with found.about(f"group {group}", KafkaError, OSError):
                    _group(bootstrap, group, [topic for topic in topics if topic in there], ends, found)
            if CONVERSATIONS in there:
                _ticks(reader, ends, found)
            letters = kafka.partitions_of(topic for topic in there if topic in DEAD_LETTERS)
            begins = reader.beginning_offsets(letters)
            dead = sum(ends[each] - begins[each] for each in letters)
            if dead:
                found.doubtful("dead letters", f"{dead:,}: `rapport dlt list` shows why")
            else:
                found.fine("dead letters", "none")


def _replicas(bootstrap: str, topics: Sequence[Topic], found: Findings) -> None:
    with contextlib.closing(kafka.admin(bootstrap)) as admin:
        # A broker does not tell its version, only what it can do.
        version = infer_broker_version_from_api_versions(admin.api_versions())
        found.check("kafka's version", version >= OLDEST, ".".join(map(str, version)))
        brokers = len(admin.describe_cluster()["brokers"])
        behind, single = [], []
        for topic in admin.describe_topics([topic.name for topic in topics]):
            for partition in topic["partitions"]:
                name = f"{topic.get('name') or topic.get('topic')}:{partition['partition_index']}"
                replicas, in_sync = partition["replica_nodes"], partition["isr_nodes"]
                if len(in_sync) < len(replicas):
                    behind.append(f"{name} has {len(in_sync)} of {len(replicas)} replicas in sync")
                if len(replicas) < min(3, brokers):
                    single.append(name)
    found.all_fine("replicas", behind, f"all in sync on {counted(brokers, 'broker')}")
    if single:
        found.doubtful("replication", f"{counted(len(single), 'partition')} could have more replicas: {single[0]}, …")
    elif brokers < 3:
        found.doubtful("replication", "fewer than three brokers: one that is lost takes records along")
    else:
        found.fine("replication", "three replicas")


def _group(
    bootstrap: str, group: str, topics: Sequence[Topic], ends: Mapping[TopicPartition, int], found: Findings
) -> None:
    asked = described(bootstrap, group)
    try:
        seen = asked()
    finally:
        asked.close()
    has = {each for member in seen.members.values() for each in member}
    lacking = [f"{topic.name}:{n}" for topic in topics for n in range(topic.partitions) if (topic.name, n) not in has]
    what = f"group {group}"
    if not seen.members:
        found.wrong(what, "nobody is in it: does the process run?")
    elif seen.state != STABLE:
        found.doubtful(what, f"it is being rebalanced (state {seen.state}); look again in a minute")
    elif lacking:
        found.wrong(what, f"nobody reads {', '.join(lacking[:5])}{' …' if len(lacking) > 5 else ''}")
    else:
        found.fine(what, f"{counted(len(seen.members), 'member')}, all partitions read")
    offsets = kafka.committed(bootstrap, group, kafka.partitions_of(topics))
    lag = sum(max(0, ends[each] - offsets[each]) for each in offsets if each in ends)
    (found.doubtful if lag > MUCH_LAG else found.fine)(f"lag of {group}", f"{lag:,} records")


def _ticks(reader: Any, ends: Mapping[TopicPartition, int], found: Findings) -> None:
    """The scorer ticks in every partition, by the broker's clock."""
    partitions = kafka.partitions_of([CONVERSATIONS])
    now = time.time()
    since = reader.offsets_for_times(dict.fromkeys(partitions, int((now - TICK_SECONDS) * 1000)))
    left = {each for each in partitions if since[each] is not None}
    silent = set(partitions)
    reader.assign(sorted(left))
    for each in left:
        reader.seek(each, since[each].offset)
    ahead = 0.0
    until = time.monotonic() + ANSWER_SECONDS
    while left and time.monotonic() < until:
        for each, records in reader.poll(500).items():
            ahead = max(ahead, *(record.timestamp / 1000 - now for record in records))
            if any(codec.type_of(record.headers) == "rapport.tick.v1" for record in records):
                silent.discard(each)
        left = {each for each in left & silent if reader.position(each) < ends[each]}
    if ahead > TICK_SECONDS:
        found.wrong("clocks", f"Kafka's clock is {ahead:.0f} s ahead of this machine's: due times follow Kafka's")
    found.all_fine(
        "ticks",
        (f"the scorer has not ticked in {each.topic}:{each.partition} for a minute" for each in sorted(silent)),
        "every partition's clock goes",
    )
