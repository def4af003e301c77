"""Whom a brand erased: nothing of theirs is written any more. What was written before, the upkeep removes.

`erased` has a document per person: `_id` (`<brand>/<name>`, by `rapport.domain.erasing`), `brand`, `noted_at`, and,
until the upkeep has removed everything, `platform` and `follower`.
"""

from pymongo import UpdateOne
from pymongo.database import Database

from rapport.domain.erasing import ERASED, erased_name
from rapport.kit.mongo import Document
from services.api.projection.batch import Batch

BLANK: Document = {"follower": {"id": ERASED}, "first": {"id": ERASED}}
"""What an exchange or an alert says of a person who was erased."""
BLANK_EXCHANGE: Document = {**BLANK, "conversation": ERASED, "thread": ERASED}


def note(database: Database[Document], batch: Batch) -> None:
    """Notes whom brands erased. Who is removed already stays so."""
    writes = [
        UpdateOne(
            {"_id": f"{each.brand}/{erased_name(each.brand, each.platform, each.follower)}"},
            [
                {
                    "$replaceWith": {
                        "$mergeObjects": [
                            {"brand": each.brand, "noted_at": "$$NOW"},
                            "$$ROOT",
                            {
                                "$cond": [
                                    {"$eq": ["$removed", True]},
                                    {},
                                    {"$literal": {"platform": each.platform, "follower": each.follower}},
                                ]
                            },
                        ]
                    }
                }
            ],
            upsert=True,
        )
        for each in batch.erased
    ]
    writes += [
        UpdateOne(
            {"_id": name},
            [{"$replaceWith": {"$mergeObjects": [{"brand": name.partition("/")[0], "noted_at": "$$NOW"}, "$$ROOT"]}}],
            upsert=True,
        )
        for name in sorted(batch.erased_names)
    ]
    if writes:
        database["erased"].bulk_write(writes, ordered=True)


def leave_out(database: Database[Document], batch: Batch) -> None:
    """Takes out of a batch what is of people who were erased; of exchanges and alerts, what tells of them."""
    names = {
        *(name for each in batch.interactions.values() if (name := of_interaction(each)) is not None),
        *(_of_row(each) for each in batch.profiles.values()),
        *(_of_row(each) for each in batch.followers.values() if each is not None),
        *(of_exchange(each) for each in (*batch.exchanges.values(), *batch.alerts.values())),
    }
    if not names:
        return
    found = database["erased"].find({"_id": {"$in": list(names)}}, {"_id": 1})
    erased = {each["_id"] for each in found}
    if not erased:
        return
    batch.interactions = {key: each for key, each in batch.interactions.items() if of_interaction(each) not in erased}
    batch.profiles = {key: each for key, each in batch.profiles.items() if _of_row(each) not in erased}
    batch.followers = {
        key: each for key, each in batch.followers.items() if each is None or _of_row(each) not in erased
    }
    for each in batch.exchanges.values():
        if of_exchange(each) in erased:
            each.update(BLANK_EXCHANGE)
    for each in batch.alerts.values():
        if of_exchange(each) in erased:
            each.update(BLANK)


def of_interaction(document: Document) -> str | None:
    """The name of whom a stored interaction is of, should they be erased: the follower, or whom the staff reached."""
    who = (document.get("parent") or {}).get("actor") if document.get("staff") else document.get("follower")
    return None if who is None else _name(document, who)


def of_exchange(document: Document) -> str:
    """The name of the follower of a stored exchange or alert."""
    return _name(document, document["follower"]["id"])


def _of_row(document: Document) -> str:
    return _name(document, document["follower"])


def _name(document: Document, follower: str) -> str:
    return f"{document['brand']}/{erased_name(document['brand'], document['platform'], follower)}"
