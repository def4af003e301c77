"""The records that the exchanges agent puts out."""

from rapport.contracts import codec
from rapport.contracts.controls import FollowerErased, PersonTold, ScoringSet
from rapport.contracts.events import Alert, ExchangeSnapshot, Spoken
from rapport.contracts.topics import ALERTS, EXCHANGES, key_of, partition_of
from services.scorer.fenced.agent import Record
from services.scorer.fenced.batch import Output
from services.scorer.headers import EPOCH_HEADERS


def exchange_record(event: ExchangeSnapshot | Spoken, id: str) -> Output:
    """A snapshot, or a comment or reply that the relationship has to know of, in the follower's partition."""
    key = key_of(event.brand, event.platform, event.follower.id)
    return Output(
        topic=EXCHANGES.name,
        partition=partition_of(key, EXCHANGES.partitions),
        key=key,
        value=codec.encode(event),
        headers=(*codec.headers("rapport.exchange.v1", id=id, source="/rapport/scorer"), *EPOCH_HEADERS),
    )


def alert_record(alert: Alert) -> Output:
    """An alert, in the brand's partition."""
    key = key_of(alert.brand)
    return Output(
        topic=ALERTS.name,
        partition=partition_of(key, ALERTS.partitions),
        key=key,
        value=codec.encode(alert),
        headers=tuple(codec.headers("rapport.alert.v1", id=alert.id, source="/rapport/scorer")),
    )


def passed_on(event: ScoringSet | PersonTold | FollowerErased, record: Record) -> Output:
    """A control record for the relationships agent.

    What is about a follower goes to the follower's partition. Every partition of `conversations` gets the agency's
    numbers, and passes them on to the partition of the same number.
    """
    partition, key = record.partition, record.key or b""
    if isinstance(event, PersonTold | FollowerErased):
        key = key_of(event.brand, event.platform, event.follower)
        partition = partition_of(key, EXCHANGES.partitions)
    headers = codec.headers("rapport.control.v1", id="handed-on", source="/rapport/scorer")
    return Output(EXCHANGES.name, partition, key, codec.encode(event), tuple(headers))
