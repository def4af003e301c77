"""From where errands are read, on a real Kafka whose partitions have no leader for a moment."""

import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from kafka import TopicPartition

from rapport.contracts.topics import ERRANDS, key_of, partition_of
from rapport.kit.broker import kafka
from services.ingest.errands.errand_log import ErrandLog
from tests.services.ingest.errands.asking import ask, errand


@pytest.mark.parametrize("led", [True, False], ids=["as usual", "without a leader for a moment"])
def test_an_errand_is_read_whatever_the_client_knows_of_its_partition(stack: Any, *, led: bool) -> None:
    brand = f"brand-{uuid4().hex}"
    one = errand(brand, cast(Any, SimpleNamespace(id="a", platform="mastodon")), "c@x")
    ask(stack.kafka, one)
    number = partition_of(key_of(brand), ERRANDS.partitions)
    told: list[str] = []
    log = ErrandLog(stack.kafka, cast(Any, None), lambda: datetime.now(UTC), logging.getLogger("test"))
    log._take = lambda _, found: told.append(found.id)
    consumer = kafka.consumer(stack.kafka, None, "test", fetch_max_wait_ms=300)
    try:
        consumer.partitions_for_topic(ERRANDS.name)
        cluster = consumer._fetcher._manager.cluster
        leader_of = cluster.leader_for_partition
        asked: list[TopicPartition] = []

        def leader(place: TopicPartition) -> Any:
            if not led and place.partition == number and not asked:
                asked.append(place)
                return -1  # as metadata has it during an election
            return leader_of(place)

        cluster.leader_for_partition = leader
        held: Any = {number: object(), (number + 1) % ERRANDS.partitions: object()}
        log._assign(consumer, held, {})
        deadline = datetime.now(UTC).timestamp() + 20
        while one.id not in told and datetime.now(UTC).timestamp() < deadline:
            for place, records in consumer.poll(timeout_ms=300).items():
                for record in records:
                    log._tell(held[place.partition], record)
    finally:
        consumer.close()
    assert one.id in told
