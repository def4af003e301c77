"""Takes settings over that are newer in the log than in MongoDB: clients, accounts, channels, policies, scoring.

Otherwise the API would number its next version like one that the scorer knows already, and the scorer keeps the first;
and it would write clients to the log as they were, so that accounts added since would be turned away at the door.
"""

import logging
from collections.abc import Callable
from typing import Any

import msgspec
from kafka import TopicPartition
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.brands import Brands
from rapport.contracts.controls import AccountDisconnected, FollowerErased, PolicyVersion, ScoringSet
from rapport.contracts.events import Account, Brand
from rapport.contracts.topics import BRANDS, CONVERSATIONS, Topic
from rapport.domain.times import utc
from rapport.kit.broker import kafka as brokers
from services.api.projector import erasing
from services.api.projector.batch import Batch

CONTROL = "rapport.control.v1"
_OF_RECORD = frozenset({"id", "accounts", "revision", "channels_since"})
_OF_ACCOUNT = frozenset(Account.__struct_fields__)

log = logging.getLogger("rapport.backup")


def take_newer(kafka: str, database: Database[Any], since: int) -> list[str]:
    """Takes newer settings over, and says which.

    `since` is an offset of partition 0 of the conversations, which has every version of policies and scoring.
    Raises KafkaError, PyMongoError.
    """
    found: list[str] = []
    brands = Brands()
    newest: dict[str, Any] = {}

    def brand(record: Any) -> None:
        read = brands.take(record)
        if read is not None:
            newest[read.id] = record

    def control(record: Any) -> None:
        if record.value is not None and codec.type_of(record.headers) == CONTROL:
            found.extend(_control(database, codec.decode(CONTROL, record.value), record))

    _each(kafka, BRANDS, 0, brand)
    for read in brands:
        revision = brands.revision(read.id)
        if _brand(database, revision, read, newest[read.id]):
            found.append(f"client {read.id}, revision {revision}")
    _each(kafka, CONVERSATIONS, since, control)
    return found


def _control(database: Database[Any], event: Any, record: Any) -> list[str]:
    fields = msgspec.json.decode(record.value)
    if isinstance(event, PolicyVersion):
        document = {name: fields[name] for name in fields.keys() - {"control", "brand", "version", "effective_from"}}
        document |= {"brand": event.brand, "version": event.version, "effective_from": event.effective_from}
        stored = database["policies"].update_one(
            # The log keeps the first of a number; one that never got there gives way.
            {"_id": f"{event.brand}/{event.version}", "published": {"$ne": True}},
            {"$set": {**document, "published": True}},
            upsert=not database["policies"].count_documents({"_id": f"{event.brand}/{event.version}"}),
        )
        changed = stored.upserted_id is not None or bool(stored.modified_count)
        return [f"policy of {event.brand}, version {event.version}"] if changed else []
    if isinstance(event, FollowerErased):
        # The notifier asks before the views have heard of it.
        erasing.note(database, Batch(erased=[event]))
    if isinstance(event, AccountDisconnected):
        _disconnected(database, event)
    if isinstance(event, ScoringSet):
        new = {
            "numbers": fields["scoring"], "why": "taken over from the log", "by": "rapport",
            "at": utc(record.timestamp), "confirmed": True, "said_at": utc(record.timestamp),
        }  # fmt: skip
        stored = database["scorings"].update_one({"_id": event.scoring.version}, {"$setOnInsert": new}, upsert=True)
        return [f"scoring, version {event.scoring.version}"] if stored.upserted_id is not None else []
    return []


def _brand(database: Database[Any], revision: int, brand: Brand, record: Any) -> bool:
    """Stores a client as a record has it, unless MongoDB is as new. Says whether it did."""
    stored = database["brands"].find_one({"_id": brand.id}, {"revision": 1})
    if stored is not None and stored["revision"] >= revision:
        return False
    at = utc(record.timestamp)
    # Settings are stored as in the record, so what a later version added stays.
    fields: dict[str, Any] = msgspec.json.decode(record.value)
    settings = {name: value for name, value in fields.items() if name not in _OF_RECORD}
    settings["channels_since"] = [{"id": channel, "since": since} for channel, since in brand.channels_since.items()]
    accounts = {each.id: each for each in brand.accounts}
    gone = {"brand": brand.id, "_id": {"$nin": list(accounts)}, "disconnected_at": None}
    database["accounts"].update_many(
        gone,
        {
            "$set": {"disconnected_at": at, "published": True, "pending": None},
            "$addToSet": {"disconnections": at},
            "$inc": {"revision": 1},
        },
    )
    for raw in fields.get("accounts", []):
        further = {name: value for name, value in raw.items() if name not in _OF_ACCOUNT}
        _account(database, brand.id, accounts[raw["id"]], further)
    database["brands"].update_one(
        {"_id": brand.id},
        {
            "$set": {
                "settings": settings, "pending": None, "revision": revision, "published_revision": revision,
                "published_at": at,
            },
            "$setOnInsert": {"created_at": at},
        },
        upsert=True,
    )  # fmt: skip
    return True


def _disconnected(database: Database[Any], event: AccountDisconnected) -> None:
    """Puts the time right at which an account went: its client's record only says that it is no longer there."""
    kept = {"$filter": {"input": "$disconnections", "cond": {"$ne": ["$$this", "$disconnected_at"]}}}
    database["accounts"].update_one(
        {
            "_id": event.account,
            "disconnected_at": {"$gt": event.disconnected_at},
            "connected_at": {"$lte": event.disconnected_at},
        },
        [
            {"$set": {"disconnections": {"$setUnion": [kept, [event.disconnected_at]]}}},
            {"$set": {"disconnected_at": event.disconnected_at}},
        ],
    )


def _account(database: Database[Any], brand: str, account: Account, further: dict[str, Any]) -> None:
    database["accounts"].update_one(
        {"_id": account.id},
        {
            "$set": {
                "brand": brand, "platform": account.platform, "handle": account.handle,
                "connection": account.connection, "staff": list(account.staff),
                "door_secrets": list(account.door_secrets), "old_secrets_until": account.old_secrets_until,
                "connected_at": account.connected_at, "disconnected_at": None, "published": True, "pending": None,
                "further": further or None,
            },
            "$addToSet": {"connections": account.connected_at},
            "$inc": {"revision": 1},
            "$setOnInsert": {"secret_shown": True, "disconnections": []},
        },
        upsert=True,
    )  # fmt: skip


def _each(kafka: str, topic: Topic, since: int, take: Callable[[Any], None]) -> None:
    """Calls `take` for every record of partition 0 from an offset to what is its end now."""
    partition = TopicPartition(topic.name, 0)
    consumer = brokers.consumer(kafka, None, "rapport-restore", max_poll_records=5_000)
    try:
        consumer.assign([partition])
        consumer.seek(partition, since)
        end = consumer.end_offsets([partition])[partition]
        while consumer.position(partition) < end:
            for record in consumer.poll(1_000).get(partition, ()):
                try:
                    take(record)
                except (codec.UndecodableError, msgspec.DecodeError) as error:
                    log.warning("%s offset %d is left out: %s", record.topic, record.offset, error)
    finally:
        consumer.close()
