"""The agency's numbers for relationships, as versions. They are the installation's, not a brand's."""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from rapport.contracts.codec import NewerError
from rapport.domain.relationship import DEFAULT, Scoring
from rapport.kit.mongo import Document
from services.api.stored import read_whole

log = logging.getLogger("rapport.api")

Numbers = Mapping[int, Scoring]
"""Versions by their number; what a follower is told from, whose own version is among them."""


class Scorings:
    """All versions."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        self._scorings = database["scorings"]

    async def of(self, documents: Iterable[Document]) -> Numbers:
        """The numbers that followers were summed up with."""
        versions = {each["scoring"] for each in documents}
        # With the defaults alone, which is the rule, nothing is asked.
        found = await self._scorings.find(_of(versions)).to_list() if any(versions) else []
        return _numbers(versions, found)

    async def latest(self) -> int:
        """The number of the latest version, whether the log has it or not; 0 where there is none."""
        found = await self._scorings.find({}, {"_id": 1}).sort("_id", -1).limit(1).to_list()
        return found[0]["_id"] if found else 0

    async def all(self) -> list[Document]:
        """Every version that the log has, the latest first."""
        return await self._scorings.find({"confirmed": True}).sort("_id", -1).to_list()

    async def add(self, scoring: Scoring, why: str, by: str, at: datetime) -> bool:
        """Stores a version that the log does not have yet; False where there is one of its number."""
        numbers: dict[str, Any] = msgspec.to_builtins(scoring)
        document = {"_id": scoring.version, "numbers": numbers, "why": why, "by": by, "at": at, "confirmed": False}
        try:
            await self._scorings.insert_one({**document, "said_at": None})
        except DuplicateKeyError:
            return False
        return True

    async def unsaid(self, since: datetime) -> list[Scoring]:
        """Those that the log does not have, and the latest one where it was not repeated since."""
        found = await self._scorings.find({}).sort("_id", -1).to_list()
        due = [
            each
            for place, each in enumerate(found)
            if not each["confirmed"] or (place == 0 and each["said_at"] < since)
        ]
        readable: list[Scoring] = []
        for each in due:
            try:
                readable.append(stored(each))
            except NewerError as error:
                log.warning("version %s of the numbers is left to a later version of the API: %s", each["_id"], error)
        return readable

    async def said(self, scoring: Scoring, at: datetime) -> None:
        """Notes that the log has a version."""
        await self._scorings.update_one({"_id": scoring.version}, {"$set": {"confirmed": True, "said_at": at}})


def known(database: Database[Document], versions: Collection[int]) -> dict[int, Scoring]:
    """These versions by number; the defaults in place of one that is not stored."""
    found = database["scorings"].find(_of(versions)).to_list() if any(versions) else []
    return _numbers(versions, found)


def _of(versions: Collection[int]) -> Document:
    return {"_id": {"$in": sorted(versions)}}


def _numbers(versions: Collection[int], documents: Iterable[Document]) -> dict[int, Scoring]:
    found = {each["_id"]: stored(each) for each in documents}
    return {version: found.get(version, DEFAULT) for version in {*versions, 0}}


def stored(document: Document) -> Scoring:
    """A stored version. Raises NewerError where only a later version can read it."""
    return read_whole(document["numbers"], Scoring)
