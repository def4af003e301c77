"""Queries for the headline numbers, by brand."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from statistics import median
from typing import Any, NamedTuple

from pymongo.asynchronous.collection import AsyncCollection

from rapport.domain.arrivals.lateness import delay
from rapport.domain.relationships.relationship import STAGES
from rapport.kit.mongo import Document
from services.api.exchanges.documents import AnsweredExchange
from services.api.followers.documents import FollowerDocument
from services.api.storage.counted import MANY, counted
from services.api.storage.tenants import Database, Tenants

SOON = timedelta(hours=2)
"""Due so soon that somebody should answer it next."""
SPANS = {"last_24h": timedelta(hours=24), "last_7d": timedelta(days=7), "last_30d": timedelta(days=30)}
LONGEST = max(SPANS.values())
MOST_ANSWERS = 20_000
"""More would hardly change a median. It limits the work."""
READ_AT_ONCE = 250
"""After so many answers, other requests have their turn."""
MANY_ANSWERS = 1_000
"""Medians of so many answers are cached for some seconds: each answer has to be read and sorted."""
MANY_OPENED = 5_000
"""A chart of so many exchanges is cached for some seconds: the day of each has to be worked out."""
A_QUERY = 40
"""A query costs about as much as counting so many documents. With hundreds of brands that is most of the work."""

_TIMED: Document = {"$ne": ["$stage_wanted", True]}


class Medians(NamedTuple):
    """Of a span's answers in seconds: the median time, elapsed and in open hours, and whose part it was. None without
    answers, or without any of which it is known when they were received."""

    seconds: float | None = None
    business_seconds: float | None = None
    platform_seconds: float | None = None
    platform_p95_seconds: float | None = None
    team_seconds: float | None = None


class _Answer(NamedTuple):
    at: datetime
    seconds: float
    business_seconds: float
    platform_seconds: float | None
    """Until the comment was received; None where nobody knows."""


def _count_if(condition: Any) -> Document:
    return {"$sum": {"$cond": [condition, 1, 0]}}


class Overviews:
    """Figures of some tenants, by brand. A brand without any is left out."""

    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database = database
        self._answered: AsyncCollection[AnsweredExchange] = database["exchanges"]
        self._followers: AsyncCollection[FollowerDocument] = database["followers"]
        self._tenants = tenants

    async def counts(self, now: datetime) -> dict[str, dict[str, int]]:
        """The figures of `open`, `outcomes` and `answers` together."""
        found: dict[str, dict[str, int]] = await self._kept("counts", None, partial(self._counts, now))
        return found

    async def _counts(self, now: datetime) -> tuple[dict[str, dict[str, int]], int]:
        found: dict[str, dict[str, int]] = {}
        many = 0
        for part in (await self.open(now), await self.outcomes(now), await self.answers(now)):
            for brand, counts in part.items():
                found.setdefault(brand, {}).update(counts)
                many += sum(counts.values())
        return found, many

    async def open(self, now: datetime) -> dict[str, dict[str, int]]:
        """`open`, `due_soon`, `overdue`, and `backfilled_open`, which the others do not include."""
        live = {"$not": ["$backfilled"]}
        overdue = {"$and": [_TIMED, {"$lte": ["$due_at", now]}]}
        soon = {"$and": [_TIMED, {"$gt": ["$due_at", now]}, {"$lte": ["$due_at", now + SOON]}]}
        return await self._by_brand(
            {"state": "open"},
            {
                "open": _count_if(live),
                "due_soon": _count_if({"$and": [live, soon]}),
                "overdue": _count_if({"$and": [live, overdue]}),
                "backfilled_open": _count_if("$backfilled"),
            },
        )

    async def outcomes(self, now: datetime) -> dict[str, dict[str, int]]:
        """`<span>_met`, `<span>_missed` and `<span>_spam` by due time.

        A cancelled exchange is missed if its clock had run out before and it was not spam; else it is neither met nor
        missed. Exchanges that wait for a stage are neither.
        """
        met = {"$and": [_TIMED, {"$eq": ["$state", "answered"]}]}
        spam = {"$and": [{"$eq": ["$state", "cancelled"]}, {"$eq": ["$cancelled_because", "spam"]}]}
        went_late = {"$and": [{"$eq": ["$state", "cancelled"]}, {"$gt": ["$breached_at", None]}, {"$not": [spam]}]}
        missed = {"$and": [_TIMED, {"$or": [{"$in": ["$state", ["open", "answered_late"]]}, went_late]}]}
        fields: Document = {}
        for name, span in SPANS.items():
            within = {"$gt": ["$due_at", now - span]}
            for outcome, condition in (("met", met), ("missed", missed), ("spam", spam)):
                fields[f"{name}_{outcome}"] = _count_if({"$and": [within, condition]})
        return await self._by_brand(
            {
                "backfilled": False,
                "due_at": {"$gt": now - LONGEST, "$lte": now},
                "state": {"$in": ["open", "answered", "answered_late", "cancelled"]},
            },
            fields,
        )

    async def answers(self, now: datetime) -> dict[str, dict[str, int]]:
        """`<span>_answered` and `<span>_late` by the time of the answer."""
        fields: Document = {}
        for name, span in SPANS.items():
            within = {"$gt": ["$answered_at", now - span]}
            fields[f"{name}_answered"] = _count_if({"$and": [within, {"$eq": ["$state", "answered"]}]})
            fields[f"{name}_late"] = _count_if({"$and": [within, {"$eq": ["$state", "answered_late"]}]})
        return await self._by_brand(
            {
                "backfilled": False,
                "answered_at": {"$gt": now - LONGEST},
                "state": {"$in": ["answered", "answered_late"]},
            },
            fields,
        )

    async def medians(self, brands: Sequence[str], now: datetime) -> dict[str | None, dict[str, Medians]]:
        """Medians by brand and span; under None, of all these brands.

        They are of each brand's latest `MOST_ANSWERS` answers within `LONGEST`.
        """
        found: dict[str | None, dict[str, Medians]] = await self._kept(
            "medians", tuple(brands), partial(self._medians, brands, now), MANY_ANSWERS
        )
        return found

    async def _medians(self, brands: Sequence[str], now: datetime) -> tuple[dict[str | None, dict[str, Medians]], int]:
        found: dict[str | None, dict[str, Medians]] = {}
        everything: list[_Answer] = []
        for brand in brands:
            answers = await self._latest_answers(brand, now)
            found[brand] = await _medians_of(answers, now)
            everything += answers
        found[None] = found[brands[0]] if len(brands) == 1 else await _medians_of(everything, now)
        return found, len(everything) + A_QUERY * len(brands)

    async def _latest_answers(self, brand: str, now: datetime) -> list[_Answer]:
        found = self._answered.find(
            {
                "$and": [self._tenants.filter(), {"brand": brand}],
                "backfilled": False,
                "answered_at": {"$gt": now - LONGEST},
                "state": {"$in": ["answered", "answered_late"]},
            },
            projection={"_id": 0, "answered_at": 1, "response_seconds": 1, "business_seconds": 1, "received_at": 1},
        )
        answers: list[_Answer] = []
        async for each in found.sort("answered_at", -1).limit(MOST_ANSWERS).batch_size(READ_AT_ONCE):
            # Read from the index alone, fields that the document lacks are null.
            took, business = each.get("response_seconds"), each.get("business_seconds")
            if took is not None:
                late = _platform_seconds(each["answered_at"], took, each.get("received_at"))
                answers.append(_Answer(each["answered_at"], took, took if business is None else business, late))
        return answers

    async def followers(self, midnights: Mapping[str, datetime]) -> dict[str, tuple[int, int]]:
        """Of each brand, how many followers it has, and how many were first seen since its midnight."""
        everybody: dict[str, int] = await self._kept(
            "followers", tuple(midnights), partial(self._counted, dict.fromkeys(midnights))
        )
        new: dict[str, int] = await self._kept("new", tuple(midnights.items()), partial(self._counted, midnights))
        return {brand: (everybody[brand], new[brand]) for brand in midnights}

    async def _counted(self, since: Mapping[str, datetime | None]) -> tuple[dict[str, int], int]:
        found = {}
        for brand, at in since.items():
            # A follower without a stage is shown as another follower of the same person.
            query: Document = {"$and": [self._tenants.filter(), {"brand": brand}], "stage": {"$in": list(STAGES)}}
            if at is None:
                found[brand] = await self._followers.count_documents(query)
            else:
                found[brand] = await self._followers.count_documents(
                    {**query, "first_seen": {"$gte": at}}, hint="first_seen"
                )
        return found, sum(found.values()) + A_QUERY * len(found)

    async def _kept(
        self, what: str, of: Hashable, count: Callable[[], Awaitable[tuple[Any, int]]], least: int = MANY
    ) -> Any:
        return await counted(self._database).get((self._database.name, what, self._tenants, of), count, least)

    async def daily(self, brand: str, midnights: Sequence[datetime]) -> dict[datetime, dict[str, int]]:
        """Exchanges by the midnight (UTC) at which their opening day began, and by state; without backfilled ones.

        The last of `midnights` ends the last day.
        """
        key = (brand, tuple(midnights))
        days: dict[datetime, dict[str, int]] = await self._kept("daily", key, partial(self._daily, *key), MANY_OPENED)
        return days

    async def _daily(self, brand: str, midnights: tuple[datetime, ...]) -> tuple[dict[datetime, dict[str, int]], int]:
        states = ("open", "answered", "answered_late")
        found = await self._database["exchanges"].aggregate(
            [
                {
                    "$match": {
                        "$and": [self._tenants.filter(), {"brand": brand}],
                        "state": {"$in": list(states)},
                        "backfilled": False,
                        "opened_at": {"$gte": midnights[0], "$lt": midnights[-1]},
                    }
                },
                {
                    # Not by MongoDB's time zones: they may be of another release than ours.
                    "$bucket": {
                        "groupBy": "$opened_at",
                        "boundaries": sorted(set(midnights)),
                        "output": {state: _count_if({"$eq": ["$state", state]}) for state in states},
                    }
                },
            ]
        )
        days = {each["_id"]: {state: each[state] for state in states} async for each in found}
        return days, sum(sum(counts.values()) for counts in days.values())

    async def _by_brand(self, query: Document, fields: Document) -> dict[str, dict[str, int]]:
        match = {"brand": {"$gt": ""}, **self._tenants.filter(), **query}
        found = await self._database["exchanges"].aggregate(
            [{"$match": match}, {"$group": {"_id": "$brand", **fields}}]
        )
        return {row.pop("_id"): row async for row in found}


async def _medians_of(answers: Sequence[_Answer], now: datetime) -> dict[str, Medians]:
    found = {}
    for name, span in SPANS.items():
        within = [each for each in answers if each.at > now - span]
        if not within:
            found[name] = Medians()
            continue
        # A median of tens of thousands takes some milliseconds; other requests have their turn in between.
        await asyncio.sleep(0)
        seconds = median([each.seconds for each in within])
        await asyncio.sleep(0)
        business = median([each.business_seconds for each in within])
        await asyncio.sleep(0)
        found[name] = Medians(seconds, business, *_parts(within))
    return found


def _platform_seconds(answered_at: datetime, took: float, received_at: datetime | None) -> float | None:
    """How much of the time that an answer took had passed when the comment was received."""
    if received_at is None:
        return None
    return round(delay(answered_at - timedelta(seconds=took), received_at), 3)


def _parts(answers: Sequence[_Answer]) -> tuple[float | None, float | None, float | None]:
    """The median and the 95th percentile of the platforms' part of some answers, and the median of the team's."""
    known = sorted((each.platform_seconds, each.seconds) for each in answers if each.platform_seconds is not None)
    if not known:
        return None, None, None
    late = [platform for platform, _ in known]
    return (
        median(late),
        late[math.ceil(0.95 * len(late)) - 1],
        median([max(0.0, seconds - platform) for platform, seconds in known]),
    )
