"""Consistency, for the API and the portal."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

from rapport.domain import consistency as domain
from rapport.domain.calendar.editorial import ON_TIME
from rapport.domain.consistency import Due, Span
from rapport.domain.mix.labels import Interval
from rapport.domain.times import local
from rapport.kit.mongo import Document
from services.api.accounts.repository import Accounts
from services.api.brands.documents import BrandDocument
from services.api.consistency.documents import RhythmTerms
from services.api.consistency.repository import Rhythms
from services.api.consistency.schemas import AccountSteadiness, Consistency, Gap, Gaps, Rhythm, Steadiness, Week
from services.api.http.periods import period, span_of
from services.api.http.pools import FIGURES
from services.api.http.problems import FieldProblem, wrong_fields
from services.api.mix.schemas import Estimate
from services.api.storage.counted import counted
from services.api.storage.tenants import Database, Tenants

MANY = 500
"""From this many posts on, the figures may be some seconds old: computing them reads each post."""


async def consistency(
    database: Database, brand: BrandDocument, first: date | None, last: date | None, now: datetime
) -> Consistency:
    """How steadily a brand published in a period. Raises ProblemError (422)."""
    zone = brand["settings"]["timezone"]
    since, until = period(first, last, zone, now)
    wanted = await rhythm(database, brand["_id"])
    key = (database.name, "consistency", brand["_id"], zone, since, until, wanted.model_dump_json())
    found: Consistency = await counted(database).get(
        key, partial(_consistency, database, brand, since, until, wanted, now), MANY
    )
    return found


async def _consistency(
    database: Database, brand: BrandDocument, since: str, until: str, wanted: Rhythm, now: datetime
) -> tuple[Consistency, int]:
    zone = brand["settings"]["timezone"]
    start, end = span_of(since, until, ZoneInfo(zone))
    span = Span(date.fromisoformat(since), date.fromisoformat(until), ZoneInfo(zone), min(now, end))
    tenants = Tenants.one(brand["_id"])
    rhythms = Rhythms(database, tenants)
    published, planned, connected = await asyncio.gather(
        rhythms.published(start, span.until),
        rhythms.due(start, end),
        Accounts(database, tenants).connected(brand["_id"]),
    )
    due = [
        Due(each["account"], each["planned_at"], each["published_at"])
        for each in planned
        if each["published_at"] is not None or each["planned_at"] + ON_TIME <= now
    ]
    names = [each["_id"] for each in connected]
    last_ones, (first, *first_ones) = await asyncio.gather(
        asyncio.gather(*(rhythms.last_before(name, start) for name in names)),
        asyncio.gather(*(rhythms.first_ever(name) for name in (None, *names))),
    )
    before = {name: at for name, at in zip(names, last_ones, strict=True) if at is not None}
    known: dict[str | None, datetime | None] = {
        each["_id"]: _earliest(at, each["connected_at"], *each.get("connections", ()))
        for each, at in zip(connected, first_ones, strict=True)
    }
    known[None] = _earliest(first, *known.values())
    # In a thread: with tens of thousands of posts, all other requests would wait for it.
    shown = await FIGURES.run(brand["_id"], _worked_out, span, published, before, known, due, wanted, connected)
    return shown, sum(map(len, published.values()))


def _worked_out(
    span: Span,
    published: Mapping[str, list[datetime]],
    before: Mapping[str, datetime],
    known: Mapping[str | None, datetime | None],
    due: Sequence[Due],
    wanted: Rhythm,
    connected: Sequence[Document],
) -> Consistency:
    everything = [at for times in published.values() for at in times]
    return Consistency(
        first=span.first,
        last=span.last,
        timezone=span.zone.key,
        posts_per_week=wanted.posts_per_week,
        brand=Steadiness(
            **_shown(
                domain.consistency(
                    _since(span, known[None]),
                    everything,
                    max(before.values(), default=None),
                    due,
                    wanted.posts_per_week,
                )
            )
        ),
        accounts=[
            AccountSteadiness(
                account=each["_id"],
                platform=each["platform"],
                handle=each["handle"],
                posts_per_week=wanted.accounts.get(each["_id"]),
                **_shown(
                    domain.consistency(
                        _since(span, known[each["_id"]]),
                        published.get(each["_id"], []),
                        before.get(each["_id"]),
                        [one for one in due if one.account == each["_id"]],
                        wanted.accounts.get(each["_id"]),
                    )
                ),
            )
            for each in connected
        ],
    )


def _earliest(*times: datetime | None) -> datetime | None:
    return min((at for at in times if at is not None), default=None)


def _since(span: Span, known: datetime | None) -> Span:
    """The days of a period about which anything is known. Before, nobody listened."""
    return span if known is None else span._replace(first=max(span.first, local(known, span.zone).date()))


def _shown(found: domain.Consistency) -> Document:
    longest = found.gaps.longest
    gap = None
    if longest is not None:
        hours = (longest.end - longest.start).total_seconds() / 3600
        gap = Gap(start=longest.start, end=longest.end, hours=hours, open=longest.open)
    return {
        "score": found.score,
        "published": found.published,
        "adherence": found.adherence,
        "streak": found.streak,
        "due": found.due,
        "kept": _estimate(found.kept),
        "on_time": _estimate(found.on_time),
        "gaps": Gaps(
            count=found.gaps.ended,
            longest=gap,
            mean_hours=found.gaps.mean,
            variance_hours2=found.gaps.variance,
            evenness=found.gaps.evenness,
        ),
        "weeks": [Week(**each._asdict()) for each in found.weeks],
    }


def _estimate(interval: Interval | None) -> Estimate | None:
    return None if interval is None else Estimate(value=interval.value, low=interval.low, high=interval.high)


async def rhythm(database: Database, brand: str) -> Rhythm:
    """The rhythm a brand wants."""
    found = await Rhythms(database, Tenants.one(brand)).settings(brand)
    return Rhythm(posts_per_week=found["posts_per_week"], accounts=found["accounts"]) if found else Rhythm(accounts={})


async def set_rhythm(database: Database, brand: str, wanted: Rhythm) -> Rhythm:
    """Stores it. Raises ProblemError (422)."""
    tenants = Tenants.one(brand)
    known = {each["_id"] for each in await Accounts(database, tenants).connected(brand)}
    unknown = sorted(wanted.accounts.keys() - known)
    if unknown:
        problems = [
            FieldProblem(field=f"accounts.{name}", why=f"the brand has no account {name!r}") for name in unknown
        ]
        raise wrong_fields(problems)
    terms: RhythmTerms = {"posts_per_week": wanted.posts_per_week, "accounts": wanted.accounts}
    await Rhythms(database, tenants).set(brand, terms)
    return wanted
