"""Answers that are lost on their way back: the broker has written the records, and the producer is not told."""

from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest


def lost(topic: str, every: int) -> None:
    """From here on, in this process, one in `every` answers to what is produced to a topic is lost; the first is."""
    real = AIOKafkaClient.send
    asked = 0

    async def send(self: AIOKafkaClient, node: Any, request: Any, **named: Any) -> Any:
        nonlocal asked
        found = await real(self, node, request, **named)
        if isinstance(request, ProduceRequest) and topic in dict(request._topics):
            asked += 1
            if (asked - 1) % every == 0:
                raise KafkaConnectionError("the connection broke before the answer")
        return found

    AIOKafkaClient.send = send
