"""Marks of what the upkeep has to make anew; `services.api.upkeep.stale` says what there is of one."""

from datetime import datetime

from rapport.kit.mongo import Document


def marking(what: str, thing: Document, now: datetime) -> tuple[Document, Document]:
    """The mark of a thing that its fields name: which document of `stale` is changed or made, and how."""
    its = {"_id": "/".join((what, *(str(value) for value in thing.values())))}
    return its, {"$setOnInsert": {"what": what, **thing}, "$set": {"since": now}, "$inc": {"marks": 1}}
