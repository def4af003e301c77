"""Queries about the versions of the scoring, which is the same for all brands."""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.collection import Collection as SyncCollection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from rapport.contracts.codec import NewerError
from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.relationship import DEFAULT
from rapport.kit.mongo import CONFIRMED, Document
from services.api.followers.documents import FollowerStanding
from services.api.scoring.documents import ScoringDocument
from services.api.storage.stored import read_whole
from services.api.storage.tenants import Database as AsyncDatabase

log = logging.getLogger("rapport.api")

Numbers = Mapping[int, Scoring]
"""Scorings by version. The versions of all followers concerned are among them."""


class Scorings:
    """All versions of the scoring."""

    def __init__(self, database: AsyncDatabase) -> None:
        self._scorings: AsyncCollection[ScoringDocument] = database["scorings"]

    async def of(self, followers: Iterable[FollowerStanding]) -> Numbers:
        """The scorings that the sums of these followers were made with."""
        versions = {follower["scoring"] for follower in followers}
        # Most installations only have the defaults, which need no query.
        found = await self._scorings.find(_of(versions)).to_list() if any(versions) else []
        return _numbers(versions, found)

    async def latest(self) -> int:
        """The number of the latest version, confirmed or not; 0 if there is none."""
        found = await self._scorings.find({}, {"_id": 1}).sort("_id", -1).limit(1).to_list()
        return found[0]["_id"] if found else 0

    async def all(self) -> list[ScoringDocument]:
        """All versions that the log has, the latest first."""
        return await self._scorings.find({"confirmed": True}).sort("_id", -1).to_list()

    async def add(self, scoring: Scoring, why: str, by: str, at: datetime) -> bool:
        """Stores a version that the log does not have yet; False if its number is taken."""
        numbers: dict[str, Any] = msgspec.to_builtins(scoring)
        document: ScoringDocument = {
            "_id": scoring.version, "numbers": numbers, "why": why, "by": by, "at": at, "confirmed": False,
            "said_at": None,
        }  # fmt: skip
        try:
            await self._scorings.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def unsaid(self, since: datetime) -> list[Scoring]:
        """The versions that the log does not have, and the latest one if it was not sent again since `since`.

        Only what MongoDB cannot take back any more: its number would come a second time with other content.
        """
        found = await self._scorings.with_options(read_concern=CONFIRMED).find({}).sort("_id", -1).to_list()
        due = [
            each
            for place, each in enumerate(found)
            if not each["confirmed"] or each["said_at"] is None or (place == 0 and each["said_at"] < since)
        ]
        readable: list[Scoring] = []
        for each in due:
            try:
                readable.append(stored(each))
            except NewerError as error:
                log.warning("version %s of the scoring is left to a later version of the API: %s", each["_id"], error)
        return readable

    async def said(self, scoring: Scoring, at: datetime) -> None:
        """Notes that a version was sent to the log."""
        await self._scorings.update_one({"_id": scoring.version}, {"$set": {"confirmed": True, "said_at": at}})


def known(database: Database[Any], versions: Collection[int]) -> dict[int, Scoring]:
    """These versions by number; the defaults for a version that is not stored."""
    scorings: SyncCollection[ScoringDocument] = database["scorings"]
    found = scorings.find(_of(versions)).to_list() if any(versions) else []
    return _numbers(versions, found)


def _of(versions: Collection[int]) -> Document:
    return {"_id": {"$in": sorted(versions)}}


def _numbers(versions: Collection[int], documents: Iterable[ScoringDocument]) -> dict[int, Scoring]:
    found = {each["_id"]: stored(each) for each in documents}
    return {version: found.get(version, DEFAULT) for version in {*versions, 0}}


def stored(document: ScoringDocument) -> Scoring:
    """A stored version. Raises NewerError if only a later version of Rapport can read it."""
    return read_whole(document["numbers"], Scoring)
