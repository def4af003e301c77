"""Keeps people whom a brand erased out of the views. The upkeep removes what was written before."""

from typing import Any, cast

from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.domain.erasing import ERASED, erased_name
from rapport.kit.mongo import Document
from services.api.alerts.documents import AlertDocument
from services.api.erasure.documents import ErasedDocument
from services.api.errands.documents import ErrandDocument
from services.api.exchanges.documents import ExchangeDocument
from services.api.followers.documents import NewFollower
from services.api.interactions.documents import InteractionDocument, ProfileDocument
from services.api.projector.batch import Batch

BLANK: Document = {"follower": {"id": ERASED}, "first": {"id": ERASED}}
"""What an exchange or an alert says instead of an erased person."""
BLANK_EXCHANGE: Document = {**BLANK, "conversation": ERASED, "thread": ERASED}


def note(database: Database[Any], batch: Batch) -> None:
    """Stores whom brands erased. Those whom the upkeep has removed already stay removed."""
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
        erased: Collection[ErasedDocument] = database["erased"]
        erased.bulk_write(writes, ordered=True)


def leave_out(database: Database[Any], batch: Batch) -> None:
    """Takes erased people out of a batch: what is theirs, and in exchanges and alerts what names them."""
    keys = {
        *(key for each in batch.interactions.values() if (key := key_of_interaction(each)) is not None),
        *(_key_of_row(each) for each in batch.profiles.values()),
        *(_key_of_row(each) for each in batch.followers.values() if each is not None),
        *(key_of_exchange(each) for each in batch.exchanges.values()),
        *(key_of_exchange(each) for each in batch.alerts.values()),
        *(_key_of_row(each) for each in batch.errands.values()),
    }
    if not keys:
        return
    found = database["erased"].find({"_id": {"$in": list(keys)}}, {"_id": 1})
    erased = {each["_id"] for each in found}
    if not erased:
        return
    batch.interactions = {
        key: each for key, each in batch.interactions.items() if key_of_interaction(each) not in erased
    }
    batch.profiles = {key: each for key, each in batch.profiles.items() if _key_of_row(each) not in erased}
    batch.followers = {
        key: each for key, each in batch.followers.items() if each is None or _key_of_row(each) not in erased
    }
    batch.errands = {key: each for key, each in batch.errands.items() if _key_of_row(each) not in erased}
    for exchange_id, exchange in batch.exchanges.items():
        if key_of_exchange(exchange) in erased:
            batch.exchanges[exchange_id] = cast("ExchangeDocument", {**exchange, **BLANK_EXCHANGE})
    for alert_id, alert in batch.alerts.items():
        if key_of_exchange(alert) in erased:
            batch.alerts[alert_id] = cast("AlertDocument", {**alert, **BLANK})


def key_of_interaction(document: InteractionDocument) -> str | None:
    """Erasure key of the person an interaction is about: its follower, or whom an act of the staff reached."""
    if document.get("staff"):
        parent = document.get("parent")
        who = parent.get("actor") if parent else None
    else:
        who = document.get("follower")
    return None if who is None else _key(document["brand"], document["platform"], who)


def key_of_exchange(document: ExchangeDocument | AlertDocument) -> str:
    """Erasure key of the follower of an exchange or alert."""
    return _key(document["brand"], document["platform"], document["follower"]["id"])


def _key_of_row(document: ProfileDocument | NewFollower | ErrandDocument) -> str:
    return _key(document["brand"], document["platform"], document["follower"])


def _key(brand: str, platform: str, follower: str) -> str:
    return f"{brand}/{erased_name(brand, platform, follower)}"
