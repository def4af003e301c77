"""Writing a batch to MongoDB so that the same batch again, or an older one later, changes nothing."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from rapport.contracts.topics import RELATIONSHIPS_CHANGELOG
from rapport.domain.relationship import STAGES
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.projection import erasing, metrics
from services.api.projection.arrived import WHEN_INSERTED, stamp
from services.api.projection.batch import Batch
from services.api.projection.documents import stage_fields
from services.api.projection.hourly import DUPLICATE_KEY, Part, part_of
from services.api.repositories import scorings

log = logging.getLogger("rapport.projector")

IDS_AT_ONCE = 1_000


class RefusedError(Exception):
    """MongoDB will never take a document of the scorer's. The text names it and why."""


def write(database: Database[Document], batch: Batch) -> dict[str, str]:
    """Writes the batch, notes its `parts`, and gives the interactions (by `_id`) that MongoDB refused, with its reason.

    Raises PyMongoError where MongoDB is away; the whole batch can then be written again.
    """
    erasing.note(database, batch)
    erasing.leave_out(database, batch)
    arriving = {name: {**each, "arrived": WHEN_INSERTED} for name, each in batch.interactions.items()}
    refused = _insert(database, "interactions", arriving)
    batch.parts = _parts(database, batch)
    for name, why in _insert(database, "alerts", batch.alerts).items():
        raise RefusedError(f"alert {name}: {why}")
    _upsert(database, "listening", batch.heartbeats)
    _upsert(database, "exchanges", batch.exchanges)
    _upsert(database, "profiles", batch.profiles)
    _upsert(database, "followers", _staged(database, batch.followers))
    return refused


def _parts(database: Database[Document], batch: Batch) -> set[Part]:
    """The parts of hours that the batch's interactions are in, whoever stored them and when.

    Also of what was there already: whoever stored it may have ended before it was counted.
    """
    fields = dict.fromkeys(("brand", "hour", "arrived"), 1)
    found: set[Part] = set()
    for some in parts(batch.interactions, IDS_AT_ONCE):
        stored = database["interactions"].find({"_id": {"$in": some}}, fields).to_list()
        before = [each for each in stored if "arrived" not in each]
        if before:
            stamp(database, [each["_id"] for each in before])
            again = database["interactions"].find({"_id": {"$in": [each["_id"] for each in before]}}, fields)
            stored += again.to_list()
        found |= {part_of(each) for each in stored}
    return found


def _staged(database: Database[Document], followers: Mapping[str, Document | None]) -> dict[str, Document | None]:
    """With the stage that each is in now."""
    now = datetime.now(UTC)
    known = scorings.known(database, {each["scoring"] for each in followers.values() if each is not None})
    found: dict[str, Document | None] = {}
    for key, each in followers.items():
        try:
            found[key] = None if each is None else {**each, **stage_fields(each, known[each["scoring"]], now)}
        except Exception:  # one row of which no stage can be told must not keep the others out
            log.exception("%.300s is left out: its stage cannot be told", key)
            metrics.DEAD_LETTERS.labels(RELATIONSHIPS_CHANGELOG.name).inc()
    return found


def noted(stage: str) -> Document:
    """The expression that notes which stage a follower came from, when, and whether it fell; kept while it is the same.

    In MongoDB itself, so that whoever writes a follower notes it in the same moment.
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


def _insert(database: Database[Document], collection: str, documents: dict[str, Document]) -> dict[str, str]:
    """Facts do not change: what is there already stays as it is."""
    if not documents:
        return {}
    try:
        database[collection].bulk_write([InsertOne(document) for document in documents.values()], ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:
            raise
        return {
            failure["op"]["_id"]: str(failure["errmsg"])
            for failure in error.details["writeErrors"]
            if failure["code"] != DUPLICATE_KEY
        }
    return {}


def _upsert(database: Database[Document], collection: str, documents: Mapping[str, Document | None]) -> None:
    """Rows are guarded by `version`: only a newer one replaces what is there. `written_at` is when it did."""
    if not documents:
        return
    writes: list[DeleteOne | UpdateOne] = []
    for key, document in documents.items():
        if document is None:
            writes.append(DeleteOne({"_id": key}))
            continue
        newer = {"$gt": [document["version"], {"$ifNull": ["$version", -1]}]}
        # $literal, because what people write may begin with a dollar sign.
        own: Document = {"written_at": "$$NOW"}
        if document.get("stage") is not None:
            own["stage_noted"] = noted(document["stage"])
        written = {"$mergeObjects": [{"$literal": document}, own]}
        replacement = {"$replaceWith": {"$cond": [newer, written, "$$ROOT"]}}
        writes.append(UpdateOne({"_id": key}, [replacement], upsert=True))
    try:
        database[collection].bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        # Two upserts of one new _id can collide; written again, the second finds the first.
        final = [failure for failure in error.details["writeErrors"] if failure["code"] != DUPLICATE_KEY]
        if final:
            raise RefusedError(f"{collection} {final[0]['op'].get('q')}: {final[0]['errmsg']}") from error
        raise
