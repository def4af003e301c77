"""Where the groups that write to MongoDB are in the log, and how they are put elsewhere.

A group's positions are in Kafka. After MongoDB was restored they are ahead of it: what lies between would be missing.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from kafka import TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from rapport.contracts.topics import CONVERSATIONS, NOTIFIER_GROUP, PROJECTOR_GROUP, Topic
from rapport.kit.broker import kafka, kafka_topics
from rapport.kit.broker.kafka import name_of, partitions_of
from rapport.kit.broker.member import members
from services.api.projector.batch import SOURCES as PROJECTED
from services.notifier.consumer import SOURCES as NOTIFIED

GROUPS: Mapping[str, tuple[Topic, ...]] = {PROJECTOR_GROUP: PROJECTED, NOTIFIER_GROUP: NOTIFIED}
Positions = dict[str, dict[str, int]]
"""By group and `<topic>:<partition>`: the offset of the next record."""


class BusyError(Exception):
    """A group is still at work, so its positions cannot be changed."""


class ElsewhereError(Exception):
    """The log does not have these positions: it is another one, or was recreated."""


@dataclass(frozen=True)
class Gap:
    """Records between a position and the log's beginning, which retention removed."""

    group: str
    place: str
    records: int


def cluster_id(bootstrap: str) -> str:
    """The id of a Kafka cluster. Raises KafkaError."""
    with contextlib.closing(kafka.admin(bootstrap)) as admin:
        return str(admin.describe_cluster()["cluster_id"])


def committed(bootstrap: str) -> Positions:
    """Where the groups are; 0 where one has no position. Raises KafkaError."""
    return {group: _of_group(bootstrap, group, partitions_of(topics)) for group, topics in GROUPS.items()}


def check_idle(bootstrap: str, groups: Mapping[str, object] = GROUPS) -> None:
    """Raises BusyError if a group has members, and KafkaError."""
    for group in groups:
        if at_work := members(bootstrap, group):
            raise BusyError(
                f"{at_work} of the group {group} are at work: stop all projectors and notifiers, and the API too. "
                "One that was killed is listed for 10 s more"
            )


def fitting(bootstrap: str, wanted: Positions) -> tuple[Positions, list[Gap]]:
    """The positions as the log has them now, and what is gone before them.

    Partitions that were added since begin at their beginning: all that is in them came later. Raises ElsewhereError if
    the log ends before a position or lacks its partition, and KafkaError.
    """
    found: Positions = {}
    gaps: list[Gap] = []
    for group, topics in GROUPS.items():
        partitions = partitions_of(topics)
        known = wanted.get(group, {})
        if not _of_as_many_or_fewer(known, topics):
            raise ElsewhereError(f"the positions of {group} are of other partitions. Is RAPPORT_PARTITIONS as it was?")
        firsts, ends = (
            kafka_topics.offsets(bootstrap, partitions, which) for which in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
        )
        found[group] = {}
        for each in partitions:
            at = known.get(name_of(each), 0)
            if at > ends[each]:
                raise ElsewhereError(
                    f"{name_of(each)} ends at {ends[each]}, before the position {at}: the topic was recreated"
                )
            if at < firsts[each]:
                gaps.append(Gap(group, name_of(each), firsts[each] - at))
            found[group][name_of(each)] = max(at, firsts[each])
    return found, gaps


def _of_as_many_or_fewer(known: Mapping[str, int], topics: tuple[Topic, ...]) -> bool:
    """Whether these are positions of whole topics, all with as many partitions as they have, or all with fewer.

    A topic may be missing: a backup may be from before there was one.
    """
    numbers: dict[str, set[int]] = {topic.name: set() for topic in topics}
    for name in known:
        topic, _, number = name.rpartition(":")
        if topic not in numbers or not number.isdigit():
            return False
        numbers[topic].add(int(number))
    if any(its != set(range(len(its))) for its in numbers.values()):
        return False
    counts = {len(numbers[topic.name]) for topic in topics if topic.fixed is None and numbers[topic.name]}
    fixed = all(len(numbers[topic.name]) in (0, topic.fixed) for topic in topics if topic.fixed is not None)
    return fixed and len(counts) <= 1 and all(count <= CONVERSATIONS.partitions for count in counts)


def beginnings(bootstrap: str, topics: tuple[Topic, ...]) -> dict[str, int]:
    """The first offset of each partition. Raises KafkaError."""
    found = kafka_topics.offsets(bootstrap, partitions_of(topics), OffsetSpec.EARLIEST)
    return {name_of(each): at for each, at in found.items()}


def put(bootstrap: str, wanted: Positions) -> None:
    """Puts groups without members where `wanted` says. Raises KafkaError."""
    with contextlib.closing(kafka.admin(bootstrap)) as admin:
        for group, places in wanted.items():
            offsets = {_partition(name): OffsetAndMetadata(at, "", -1) for name, at in places.items()}
            results = admin.alter_group_offsets(group, offsets)
            for each, outcome in results.items():
                if outcome is not NoError:
                    raise KafkaError(f"the position of {group} in {name_of(each)} was refused: {outcome.__name__}")


def _of_group(bootstrap: str, group: str, partitions: list[TopicPartition]) -> dict[str, int]:
    found = kafka.committed(bootstrap, group, partitions)
    return {name_of(each): found.get(each, 0) for each in partitions}


def _partition(name: str) -> TopicPartition:
    topic, _, number = name.rpartition(":")
    return TopicPartition(topic, int(number))
