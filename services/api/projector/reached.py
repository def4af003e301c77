"""Up to when the views have what was received, by the offsets that the projector has committed."""

from contextlib import closing
from datetime import datetime

from rapport.contracts.topics import ENGAGEMENTS, PROJECTOR_GROUP
from rapport.domain.times import ms
from rapport.kit.broker import kafka


def read_to(bootstrap: str, at: datetime) -> bool:
    """Whether the views have all engagements that the log took before `at`. Raises KafkaError.

    Nothing is written to that topic regularly, so how far it is read cannot be told from what was read.
    """
    partitions = kafka.partitions_of([ENGAGEMENTS])
    read = kafka.committed(bootstrap, PROJECTOR_GROUP, partitions)
    with closing(kafka.consumer(bootstrap, None, "rapport-upkeep")) as asked:
        later = asked.offsets_for_times(dict.fromkeys(partitions, ms(at)))
        ends = asked.end_offsets(partitions)
    return all(
        read.get(each, 0) >= (later[each].offset if later[each] is not None else ends[each]) for each in partitions
    )
