"""Decodes the records of a poll and sorts them by view. No I/O."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from rapport.contracts import codec
from rapport.contracts.charges import Charge
from rapport.contracts.controls import FollowerErased, Heartbeat
from rapport.contracts.cursors import AccountState
from rapport.contracts.errands import Errand, ErrandState
from rapport.contracts.events import Alert, ExchangeSnapshot, Interaction, Tick
from rapport.contracts.rows import EPOCH, EPOCH_HEADER, ERASED, FOLLOWER, MOVED, FollowerRow, parts_of
from rapport.contracts.topics import (
    ALERTS,
    CHARGES,
    CONVERSATIONS,
    CURSORS,
    ENGAGEMENTS,
    ERRANDS,
    EXCHANGES,
    RELATIONSHIPS_CHANGELOG,
)
from rapport.domain.arrivals.minutes import bit_of, hour_of
from rapport.domain.times import utc
from rapport.kit.broker.dead_letters import place_of
from rapport.kit.log import about
from services.api.alerts.documents import AlertDocument, alert_document
from services.api.charges.documents import ChargeDocument, charge_document
from services.api.errands.documents import (
    ErrandDocument,
    ErrandStateDocument,
    errand_document,
    errand_state_document,
)
from services.api.exchanges.documents import ExchangeDocument, exchange_document
from services.api.followers.documents import NewFollower, follower_document
from services.api.interactions.documents import (
    InteractionDocument,
    ProfileDocument,
    follower_id,
    interaction_document,
    profile_document,
)
from services.api.listening.documents import (
    HEARD_WITHIN,
    AccountStateDocument,
    HeartbeatDocument,
    account_state_document,
    heartbeat_document,
)
from services.api.projector.hourly import Part

INTERACTION_TYPE = "rapport.interaction.v1"
TICK_TYPE = "rapport.tick.v1"
CONTROL_TYPE = "rapport.control.v1"

_followers = msgspec.json.Decoder(FollowerRow)

SOURCES = (CONVERSATIONS, ENGAGEMENTS, ALERTS, EXCHANGES, RELATIONSHIPS_CHANGELOG, CURSORS, ERRANDS, CHARGES)
PUT_ASIDE = frozenset({CONVERSATIONS.name, ENGAGEMENTS.name})
"""Topics that outsiders write to. Unreadable records there go to the dead letters.

Records of a later version of Rapport do not: they wait for a projector of that version, as in any other topic.
"""


class UnreadableError(Exception):
    """A record that this version cannot read, and why."""

    def __init__(self, record: Any, why: str) -> None:
        super().__init__(f"{record.topic} partition {record.partition} offset {record.offset}: {why}")
        self.record = record
        self.why = why

    @property
    def its(self) -> dict[str, dict[str, str]]:
        """What lines of the log about it are about: the record's CloudEvents id, if it has one."""
        told = {name: value for name, value in self.record.headers or () if name == "ce_id" and value is not None}
        return about(interaction=told["ce_id"].decode(errors="replace")) if told else {}


@dataclass
class Batch:
    """What to write: the newest version of each `_id`. `None` removes a follower."""

    interactions: dict[str, InteractionDocument] = field(default_factory=dict)
    exchanges: dict[str, ExchangeDocument] = field(default_factory=dict)
    followers: dict[str, NewFollower | None] = field(default_factory=dict)
    alerts: dict[str, AlertDocument] = field(default_factory=dict)
    profiles: dict[str, ProfileDocument] = field(default_factory=dict)
    erased: list[FollowerErased] = field(default_factory=list)
    erased_names: set[str] = field(default_factory=set)
    """`<brand>/<name>` of people whom the scorer's rows mark as erased."""
    heartbeats: dict[str, HeartbeatDocument] = field(default_factory=dict)
    """The latest of each ingest process."""
    heard: dict[int, datetime] = field(default_factory=dict)
    """By partition of `conversations`: when the log took the latest heartbeat."""
    heard_since: dict[int, datetime] = field(default_factory=dict)
    """By partition of `conversations`: when it took the first of these, or the first one after a pause."""
    ticked: dict[int, datetime] = field(default_factory=dict)
    """By partition of `conversations`: up to when the scorer has it, as its latest tick says."""
    heard_minutes: dict[datetime, int] = field(default_factory=dict)
    """By full UTC hour: the minutes in which the log took a heartbeat, as bits."""
    states: dict[str, AccountStateDocument] = field(default_factory=dict)
    """The latest of each account that is asked for news."""
    errands: dict[str, ErrandDocument] = field(default_factory=dict)
    errand_states: dict[str, ErrandStateDocument] = field(default_factory=dict)
    """The latest of each errand."""
    charges: dict[str, ChargeDocument] = field(default_factory=dict)
    parts: set[Part] = field(default_factory=set)
    """The parts of hours to recount; known once the interactions are stored."""
    sources: dict[str, Any] = field(default_factory=dict)
    """The record of each interaction, for its dead letter."""
    unreadable: list[UnreadableError] = field(default_factory=list)
    """Records that are left out: they go to the dead letters if their topic has any, and to the process's log."""
    halts: list[UnreadableError] = field(default_factory=list)
    """Where a partition cannot go on: at a record of a later version, or at an unreadable one of the scorer."""


def read(polled: Mapping[Any, Iterable[Any]], put_aside: Collection[str] = ()) -> Batch:
    """Sorts the records of a poll. A partition in `halts` is read only up to that record.

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
            except Exception as error:  # decoded but unusable: the others must not wait for it
                batch.unreadable.append(UnreadableError(record, f"{type(error).__name__}: {error}"))
    return batch


def _add_interaction(batch: Batch, record: Any) -> None:
    found = codec.type_of(record.headers)
    if found == TICK_TYPE:
        tick: Tick = codec.decode(found, record.value)
        if tick.scored is not None:
            at = min(tick.scored, utc(record.timestamp))
            batch.ticked[record.partition] = max(at, batch.ticked.get(record.partition, at))
        return
    if found == CONTROL_TYPE:
        _add_control(batch, record)
        return
    if found != INTERACTION_TYPE:
        codec.decode(found, record.value)
        raise codec.UndecodableError(f"a {found}, but only interactions and control records belong here")
    interaction: Interaction = codec.decode(found, record.value)
    document = interaction_document(interaction)
    # The first record of an id wins, as in the scorer.
    if document["_id"] not in batch.interactions:
        batch.interactions[document["_id"]] = document
        batch.sources[document["_id"]] = record
    profile = profile_document(interaction)
    if profile is not None:
        known = batch.profiles.get(profile["_id"])
        if known is None or known["version"] < profile["version"]:
            batch.profiles[profile["_id"]] = profile


def _add_control(batch: Batch, record: Any) -> None:
    """Takes erasures and heartbeats. Other control records are for the scorer, which dead-letters unreadable ones.

    An unknown kind may be for the projector too, so it is waited for.
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
        _add_heard(batch, record.partition, document["at"])
        known = batch.heartbeats.get(document["_id"])
        if known is None or known["version"] < document["version"]:
            batch.heartbeats[document["_id"]] = document


def _add_heard(batch: Batch, partition: int, at: datetime) -> None:
    before = batch.heard.get(partition)
    if before is None or at - before > HEARD_WITHIN:
        batch.heard_since[partition] = at
    batch.heard[partition] = max(at, before or at)
    hour = hour_of(at)
    batch.heard_minutes[hour] = batch.heard_minutes.get(hour, 0) | bit_of(at)


def _add_cursor(batch: Batch, record: Any) -> None:
    if record.value is None:
        return
    cursor = codec.decode(codec.type_of(record.headers), record.value)
    if isinstance(cursor, AccountState):  # the rest is ingest's own
        stands = batch.states.get(cursor.account)
        if stands is None or stands["claim"] <= cursor.claim:
            batch.states[cursor.account] = account_state_document(cursor, record.timestamp, record.offset)
    elif isinstance(cursor, ErrandState):
        became = batch.errand_states.get(cursor.errand)
        if became is None or became["claim"] <= cursor.claim:
            batch.errand_states[cursor.errand] = errand_state_document(cursor, record.timestamp, record.offset)


def _add_errand(batch: Batch, record: Any) -> None:
    errand = codec.decode(codec.type_of(record.headers), record.value)
    if not isinstance(errand, Errand):
        raise codec.UndecodableError(f"a {type(errand).__name__}, but only errands belong here")
    batch.errands.setdefault(errand.id, errand_document(errand))


def _add_charge(batch: Batch, record: Any) -> None:
    charge = codec.decode(codec.type_of(record.headers), record.value)
    if not isinstance(charge, Charge):
        raise codec.UndecodableError(f"a {type(charge).__name__}, but only charges belong here")
    batch.charges.setdefault(charge.id, charge_document(charge))


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
        return  # for the relationships agent; the read side has the interaction itself
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
        if MOVED in record.headers:
            return
        brand, platform, follower = parts[1:]
        batch.followers[follower_id(brand, platform, follower)] = None
        return
    row = _followers.decode(record.value)
    if not row.met:
        return  # somebody whom the brand wrote to, and who has done nothing yet
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
    CURSORS.name: _add_cursor,
    ERRANDS.name: _add_errand,
    CHARGES.name: _add_charge,
}
