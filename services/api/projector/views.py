"""Writes a batch to MongoDB. Writing it again, or an older one later, changes nothing."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from rapport.contracts.topics import RELATIONSHIPS_CHANGELOG
from rapport.domain.relationships.answering import AFTER
from rapport.domain.relationships.relationship import STAGES
from rapport.kit import mongo
from rapport.kit.log import pseudonym
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.answering.documents import MARK
from services.api.exchanges.documents import ExchangeDocument
from services.api.followers.documents import NewFollower, StagedFollower, stage_fields
from services.api.interactions.documents import InteractionDocument
from services.api.projector import arrivals, erasing, forgetting, metrics
from services.api.projector.arrived import WHEN_INSERTED, stamp
from services.api.projector.batch import Batch
from services.api.projector.hourly import DUPLICATE_KEY, part_of
from services.api.scoring import repository as scorings
from services.api.storage.rebuild_marks import rebuild_mark

log = logging.getLogger("rapport.projector")

IDS_AT_ONCE = 1_000
_FOR_GOOD = frozenset(
    {
        2,  # BadValue
        9,  # FailedToParse
        14,  # TypeMismatch
        15,  # Overflow
        16,  # InvalidLength
        22,  # InvalidBSON
        52,  # DollarPrefixedFieldName
        53,  # InvalidIdField
        56,  # EmptyFieldName
        57,  # DottedFieldName
        66,  # ImmutableField
        121,  # DocumentValidationFailure
        171,  # CannotIndexParallelArrays
        10334,  # BSONObjectTooLarge
        17280,  # KeyTooLong
        17419,  # a document that an update would make too large
        17420,
    }
)
"""What MongoDB refuses because of the document. Anything else says how the server is, and that passes: writes that are
blocked while data is moved, a disk or a quota that is full, a primary that steps down."""
PUT_BACK_MS = 600_000
"""A claim that was lost can write for another 30 s. A lower one that comes this much later is from a topic that was
put back, where the numbers of claims start over."""


class RefusedError(Exception):
    """MongoDB will never accept a document of the scorer. The message says which one, and why."""


def write(database: Database[Document], batch: Batch) -> dict[str, str]:
    """Writes the batch, sets its `parts`, and gives the interactions (by `_id`) that MongoDB refused, with its reason.

    Raises PyMongoError if MongoDB is unavailable. The whole batch can then be written again.
    """
    erasing.note(database, batch)
    erasing.leave_out(database, batch)
    forgetting.leave_out(database, batch)
    arriving: dict[str, Document] = {
        name: {**each, "arrived": WHEN_INSERTED} for name, each in batch.interactions.items()
    }
    refused = _insert(database, "interactions", arriving)
    stored = _stored(database, batch)
    batch.parts = {part_of(each) for each in stored}
    arrivals.note(database, stored)
    _upsert(database, "listening", batch.heartbeats)
    _upsert(database, "account_states", batch.states)
    # Behind these: whoever reads in between would take an account that is behind for heard.
    arrivals.note_heard(database, batch.heard, batch.heard_since, batch.heard_minutes, batch.ticked)
    for name, why in _insert(database, "alerts", batch.alerts).items():
        raise RefusedError(f"alert {name}: {why}")
    for name, why in _insert(database, "errands", batch.errands).items():
        raise RefusedError(f"errand {name}: {why}")
    _upsert(database, "errand_states", batch.errand_states)
    for name, why in _insert(database, "charges", batch.charges).items():
        raise RefusedError(f"charge {name}: {why}")
    _upsert(database, "exchanges", batch.exchanges)
    _mark_late(database, batch.exchanges)
    _upsert(database, "profiles", batch.profiles)
    _upsert(database, "followers", _staged(database, batch.followers))
    return refused


def _stored(database: Database[Any], batch: Batch) -> list[InteractionDocument]:
    """The batch's interactions as they are stored: what is counted of each.

    That includes interactions that were there already: the process that stored them may have ended before counting.
    """
    fields = dict.fromkeys(("brand", "hour", "arrived", *arrivals.FIELDS), 1)
    interactions: Collection[InteractionDocument] = database["interactions"]
    found: list[InteractionDocument] = []
    for some in parts(batch.interactions, IDS_AT_ONCE):
        stored = interactions.find({"_id": {"$in": some}}, fields).to_list()
        before = [each["_id"] for each in stored if "arrived" not in each]
        found += stored
        if before:
            stamp(database, before)
            found += interactions.find({"_id": {"$in": before}}, fields).to_list()
    return found


def _staged(
    database: Database[Document], followers: Mapping[str, NewFollower | None]
) -> dict[str, StagedFollower | None]:
    """Adds each follower's current stage."""
    now = datetime.now(UTC)
    known = scorings.known(database, {each["scoring"] for each in followers.values() if each is not None})
    found: dict[str, StagedFollower | None] = {}
    for key, each in followers.items():
        try:
            found[key] = None if each is None else {**each, **stage_fields(each, known[each["scoring"]], now)}
        except Exception:  # one row without a stage must not stop the others
            log.exception("follower %s is left out: its stage cannot be computed", pseudonym(key))
            metrics.DEAD_LETTERS.labels(RELATIONSHIPS_CHANGELOG.name).inc()
    return found


def noted(stage: str | None) -> Document:
    """An expression for `stage_noted`: the stage before, when it changed, and when it fell. Kept while the stage stays.

    MongoDB evaluates it, so that the stage and the note change together, whoever writes the follower.
    """
    before = "$stage_noted.stage"
    fell = {"$lt": [STAGES.index(stage), {"$indexOfArray": [list(STAGES), before]}]}
    moved = {
        "stage": stage,
        "from": {"$ifNull": [before, None]},
        "at": "$$NOW",
        "fell_at": {"$cond": [fell, "$$NOW", None]},
    }
    return {"$cond": [{"$eq": [before, stage]}, "$stage_noted", moved]}


def _mark_late(database: Database[Document], exchanges: Mapping[str, ExchangeDocument]) -> None:
    """Has the upkeep look at exchanges that it would have looked at before: what they did to the follower is noted when
    they have been due for so long.
    """
    now = datetime.now(UTC)
    late = (each for each in exchanges.values() if not each["backfilled"] and each["due_at"] <= now - AFTER)
    marks = [rebuild_mark(MARK, {"brand": each["brand"], "exchange": each["_id"]}, now) for each in late]
    if marks:
        database["stale"].bulk_write([UpdateOne(*mark, upsert=True) for mark in marks], ordered=False)


def _is_newer(document: Mapping[str, Any]) -> Document:
    """An expression: by `version`, and by claim and offset where ingest wrote it under a claim."""
    version = {"$ifNull": ["$version", -1]}
    if "claim" not in document:
        return {"$gt": [document["version"], version]}
    # Earlier versions stored neither.
    stored = [{"$ifNull": ["$claim", -1]}, {"$ifNull": ["$offset", -1]}]
    by_claim = {"$gt": [[document["claim"], document["offset"]], stored]}
    return {"$or": [by_claim, {"$gt": [document["version"], {"$add": [version, PUT_BACK_MS]}]}]}


def _insert(
    database: Database[Document], collection: str, documents: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Inserts facts. They never change, so what is there already stays."""
    if not documents:
        return {}
    try:
        database[collection].bulk_write([InsertOne(dict(document)) for document in documents.values()], ordered=False)
    except BulkWriteError as error:
        failures = [each for each in mongo.write_failures(error) if each["code"] != DUPLICATE_KEY]
        if any(each["code"] not in _FOR_GOOD for each in failures):
            raise
        return {failure["op"]["_id"]: str(failure["errmsg"]) for failure in failures}
    return {}


def _upsert(database: Database[Document], collection: str, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Writes rows. Only a newer one replaces what is there; `written_at` says when it did."""
    if not documents:
        return
    writes: list[DeleteOne | UpdateOne] = []
    for key, document in documents.items():
        if document is None:
            writes.append(DeleteOne({"_id": key}))
            continue
        newer = _is_newer(document)
        # $literal, because what people write can begin with a dollar sign.
        own: Document = {"written_at": "$$NOW"}
        if document.get("stage") is not None:
            own["stage_noted"] = noted(document["stage"])
        written = {"$mergeObjects": [{"$literal": document}, own]}
        replacement = {"$replaceWith": {"$cond": [newer, written, "$$ROOT"]}}
        writes.append(UpdateOne({"_id": key}, [replacement], upsert=True))
    try:
        database[collection].bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        # Two upserts of a new _id can collide. On the next try the second one finds the first.
        final = [failure for failure in error.details["writeErrors"] if failure["code"] in _FOR_GOOD]
        if final:
            raise RefusedError(f"{collection} {final[0]['op'].get('q')}: {final[0]['errmsg']}") from error
        raise
