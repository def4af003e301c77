"""The transactional producer of a partition, and how it ends."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

from rapport.kit.broker.kafka_login import login
from services.scorer.fenced.agent import Agent

log = logging.getLogger("rapport.scorer.transaction")

TRANSACTION_TIMEOUT_MS = 60_000
"""After this the broker aborts an open transaction. Long, because a worker that gets little CPU takes its time; the
next owner of a partition aborts what its predecessor left open at once, so readers seldom wait for this."""
_BATCH_BYTES = 512 * 1024

_FORGOTTEN = (InvalidProducerIdMapping, UnknownProducerId)
_LOST = (*_FORGOTTEN, ProducerFenced, InvalidProducerEpoch, InvalidTxnState, OutOfOrderSequenceNumber)


def lost(error: BaseException) -> bool:
    """Whether a producer can do no more, but a new one of the same partition can.

    A transactional id that was idle for a week is forgotten by the broker, for instance. What was under way is not in
    the log, and what is in the log is not in doubt.
    """
    return any(isinstance(each, _LOST) for each in _causes(error))


def forgotten(error: BaseException) -> bool:
    """Whether that is because the broker forgot the producer, so that nobody else can have taken its place."""
    return any(isinstance(each, _FORGOTTEN) for each in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    known: BaseException | None = error
    while known is not None:
        yield known
        known = known.__cause__  # aiokafka wraps most of its errors


class Producer:
    """The transactional producer of a partition: whoever starts it last is the only one that can write."""

    def __init__(self, agent: Agent, partition: int) -> None:
        self._agent = agent
        self._partition = partition
        self.kafka = self._made()

    def _made(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self._agent.bootstrap,
            transactional_id=f"{self._agent.application}-{self._agent.name}-{self._partition}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            max_batch_size=_BATCH_BYTES,
            acks="all",
            **login(),
        )

    async def start(self) -> None:
        await self.kafka.start()

    async def renew(self) -> None:
        """Gives the transaction up and begins with a new producer.

        After a refused batch aiokafka (0.14) counts on from it, and the broker takes nothing more: out of sequence.
        Raises ProducerFenced where the partition had another owner in between: what it wrote is not in the rows here.
        """
        before = self._generation
        await self.kafka.abort_transaction()
        await self.stop()
        self.kafka = self._made()
        await self.kafka.start()
        if self._generation != (before[0], before[1] + 1):
            raise ProducerFenced

    @property
    def _generation(self) -> tuple[int, int]:
        """The producer's id and epoch. Each start of anyone with the same transactional id raises the epoch by one."""
        manager: Any = self.kafka._txn_manager
        return manager.producer_id, manager.producer_epoch

    async def stop(self) -> None:
        try:
            await asyncio.wait_for(self.kafka.stop(), timeout=5)
        except (TimeoutError, KafkaError) as error:
            log.warning("%s[%d] could not end its producer: %r", self._agent.name, self._partition, error)
