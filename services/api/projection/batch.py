"""A poll's records, decoded and sorted by the view that they change. No I/O."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rapport.contracts import codec
from rapport.contracts.controls import FollowerErased, Heartbeat
from rapport.contracts.events import Alert, ExchangeSnapshot, Interaction
from rapport.contracts.rows import EPOCH, EPOCH_HEADER, ERASED, FOLLOWER, FollowerRow, parts_of
from rapport.contracts.topics import (
    ALERTS,
    CONVERSATIONS,
    ENGAGEMENTS,
    EXCHANGES,
    RELATIONSHIPS_CHANGELOG,
)
from rapport.kit.dead_letters import place_of
from rapport.kit.mongo import Document
from services.api.projection.documents import (
    alert_document,
    exchange_document,
    follower_document,
    follower_id,
    heartbeat_document,
    interaction_document,
    profile_document,
)
from services.api.projection.hourly import Part

INTERACTION_TYPE = "rapport.interaction.v1"
TICK_TYPE = "rapport.tick.v1"
CONTROL_TYPE = "rapport.control.v1"

_followers = msgspec.json.Decoder(FollowerRow)

SOURCES = (CONVERSATIONS, ENGAGEMENTS, ALERTS, EXCHANGES, RELATIONSHIPS_CHANGELOG)
PUT_ASIDE = frozenset({CONVERSATIONS.name, ENGAGEMENTS.name})
"""Topics that others write to. What cannot be read there is dead-lettered, and the next record is read.

What a later version of Rapport wrote is not: it waits for a projector of that version, as in any other topic.
"""


class UnreadableError(Exception):
    """A record that this version cannot read, and why."""

    def __init__(self, record: Any, why: str) -> None:
        super().__init__(f"{record.topic} partition {record.partition} offset {record.offset}: {why}")
        self.record = record
        self.why = why


@dataclass
class Batch:
    """What to write. Of one `_id` only the newest version is kept; `None` says that a follower is to be removed."""

    interactions: dict[str, Document] = field(default_factory=dict)
    exchanges: dict[str, Document] = field(default_factory=dict)
    followers: dict[str, Document | None] = field(default_factory=dict)
    alerts: dict[str, Document] = field(default_factory=dict)
    profiles: dict[str, Document] = field(default_factory=dict)
    erased: list[FollowerErased] = field(default_factory=list)
    erased_names: set[str] = field(default_factory=set)
    """`<brand>/<name>` of those whom the scorer's rows say were erased, at whatever time."""
    heartbeats: dict[str, Document] = field(default_factory=dict)
    """The latest of each ingest process."""
    parts: set[Part] = field(default_factory=set)
    """The parts of hours that have to be counted again; known once the interactions are stored."""
    sources: dict[str, Any] = field(default_factory=dict)
    """The record of each interaction, for its dead letter."""
    unreadable: list[UnreadableError] = field(default_factory=list)
    """What is left out: it goes to the dead letters where its topic has some, else into the log of the process."""
    halts: list[UnreadableError] = field(default_factory=list)
    """Where a partition cannot go on: at a record of a later version, or one of the scorer's own that nobody reads."""


def read(polled: Mapping[Any, Iterable[Any]], put_aside: Collection[str] = ()) -> Batch:
    """Sorts the records of a poll. Of a partition in `halts`, the records from that one on are left out.

    A record in `put_aside` (`<topic>:<partition>:<offset>`) halts nothing.
    """
    batch = Batch()
    for partition, records in polled.items():
        add = _READERS[partition.topic]
        for record in records:
            try:
                add(batch, record)
            except (msgspec.DecodeError, UnicodeDecodeError, codec.UndecodableError, ValueError) as error:
                unreadable = UnreadableError(record, str(error))
                poison = partition.topic in PUT_ASIDE and not isinstance(error, codec.NewerError)
                if poison or place_of(record) in put_aside:
                    batch.unreadable.append(unreadable)
                else:
                    batch.halts.append(unreadable)
                    break
            except Exception as error:  # it can be read, and nothing can be made of it: nobody else has to wait for it
                batch.unreadable.append(UnreadableError(record, f"{type(error).__name__}: {error}"))
    return batch


def _add_interaction(batch: Batch, record: Any) -> None:
    found = codec.type_of(record.headers)
    if found == TICK_TYPE:
        return
    if found == CONTROL_TYPE:
        _add_control(batch, record)
        return
    if found != INTERACTION_TYPE:
        codec.decode(found, record.value)
        raise codec.UndecodableError(f"a {found}, where only interactions and control records belong")
    interaction: Interaction = codec.decode(found, record.value)
    document = interaction_document(interaction)
    # The first of an id wins, in the scorer as here.
    if document["_id"] not in batch.interactions:
        batch.interactions[document["_id"]] = document
        batch.sources[document["_id"]] = record
    profile = profile_document(interaction)
    if profile is not None:
        known = batch.profiles.get(profile["_id"])
        if known is None or known["version"] < profile["version"]:
            batch.profiles[profile["_id"]] = profile


def _add_control(batch: Batch, record: Any) -> None:
    """Control records are the scorer's, which puts aside what it cannot read. Erasures and heartbeats are ours too.

    One of a kind that this version does not know may be ours as well, so it is waited for.
    """
    try:
        control = codec.decode(CONTROL_TYPE, record.value)
    except codec.NewerError:
        raise
    except codec.UndecodableError:
        return
    if isinstance(control, FollowerErased):
        batch.erased.append(control)
    elif isinstance(control, Heartbeat):
        document = heartbeat_document(control, record.timestamp)
        known = batch.heartbeats.get(document["_id"])
        if known is None or known["version"] < document["version"]:
            batch.heartbeats[document["_id"]] = document


def _add_alert(batch: Batch, record: Any) -> None:
    alert: Alert = codec.decode(codec.type_of(record.headers), record.value)
    batch.alerts[alert.id] = alert_document(alert)


def _epoch(record: Any) -> int:
    for name, value in record.headers:
        if name == EPOCH_HEADER:
            return int(value)
    return EPOCH


def _add_exchange(batch: Batch, record: Any) -> None:
    snapshot = codec.decode(codec.type_of(record.headers), record.value)
    if not isinstance(snapshot, ExchangeSnapshot):
        return  # told to the relationship; the read side has the interaction itself
    document = exchange_document(snapshot, _epoch(record))
    known = batch.exchanges.get(snapshot.id)
    if known is None or known["version"] < document["version"]:
        batch.exchanges[snapshot.id] = document


def _add_follower(batch: Batch, record: Any) -> None:
    parts = parts_of(record.key)
    if parts[0] == ERASED and record.value is not None:
        batch.erased_names.add("/".join(parts[1:]))
    if parts[0] != FOLLOWER:
        return
    if record.value is None:
        brand, platform, follower = parts[1:]
        batch.followers[follower_id(brand, platform, follower)] = None
        return
    row = _followers.decode(record.value)
    if not row.met:
        return  # somebody whom the brand spoke to, and who did nothing yet
    document = follower_document(row, _epoch(record))
    known = batch.followers.get(document["_id"])
    if known is None or known["version"] < document["version"]:
        batch.followers[document["_id"]] = document


_READERS = {
    CONVERSATIONS.name: _add_interaction,
    ENGAGEMENTS.name: _add_interaction,
    ALERTS.name: _add_alert,
    EXCHANGES.name: _add_exchange,
    RELATIONSHIPS_CHANGELOG.name: _add_follower,
}
