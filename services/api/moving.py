"""Who moves, put together for the API and the portal."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rapport.domain import why
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api import reading
from services.api.reading import Database
from services.api.repositories.followers import Followers
from services.api.repositories.scorings import Scorings
from services.api.repositories.tenants import Tenants
from services.api.schemas.movers import Mover, Movers, Points

LATELY = timedelta(days=14)
LOST_WITHIN = timedelta(days=30)
QUIET_AFTER = timedelta(days=30)


async def movers(database: Database, tenants: Tenants, limit: int, now: datetime) -> Movers:
    """The movers of some tenants as of `now`."""
    followers = Followers(database, tenants)
    # Of those who brought the most lately some have lost more in the same week than they brought.
    lively = await _told(database, tenants, await followers.warming(now - LATELY, 3 * limit), now)
    return Movers(
        warming=[each for each in lively if sum(each.last_7d.model_dump().values()) > 0][:limit],
        cooling=await _told(database, tenants, await followers.cooling(now, now + LATELY, limit), now),
        lost=await _told(database, tenants, await followers.lost(now - LOST_WITHIN, limit), now),
        quiet_buyers=await _told(database, tenants, await followers.quiet_buyers(now - QUIET_AFTER, limit), now),
    )


async def _told(database: Database, tenants: Tenants, documents: Sequence[Document], now: datetime) -> list[Mover]:
    listed = await reading.listed_followers(database, tenants, documents, now)
    numbers = await Scorings(database).of(documents)
    found = []
    for follower, document in zip(listed, documents, strict=True):
        week, month = (
            Points(**{name: round(each.points) for name, each in changed.items()})
            for changed in (
                why.changes(document["days"], numbers[document["scoring"]], ms(now), days) for days in (7, 30)
            )
        )
        noted = document.get("stage_noted") or {}
        found.append(
            Mover(
                **follower.model_dump(),
                last_7d=week,
                last_30d=month,
                came_from=noted.get("from"),
                since=noted.get("at"),
            )
        )
    return found
