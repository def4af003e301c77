"""Marks what the upkeep has to rebuild; `services.api.projector.upkeep.rebuild_queue` works them off."""

from datetime import datetime

from rapport.kit.mongo import Document


def rebuild_mark(what: str, thing: Document, now: datetime) -> tuple[Document, Document]:
    """The filter and the update of an upsert in `stale`, for a thing that its fields identify."""
    its = {"_id": "/".join((what, *(str(value) for value in thing.values())))}
    return its, {"$setOnInsert": {"what": what, **thing}, "$set": {"since": now}, "$inc": {"marks": 1}}
