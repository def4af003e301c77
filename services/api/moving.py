"""Who moves, put together for the API and the portal."""

from datetime import datetime, timedelta

from rapport.domain import why
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api import reading
from services.api.reading import Database
from services.api.repositories.followers import Followers
from services.api.repositories.scorings import Numbers, Scorings
from services.api.repositories.tenants import Tenants
from services.api.schemas.movers import Mover, Movers, Points
from services.api.schemas.views import Follower

LATELY = timedelta(days=14)
LOST_WITHIN = timedelta(days=30)
QUIET_AFTER = timedelta(days=30)


async def movers(database: Database, tenants: Tenants, limit: int, now: datetime) -> Movers:
    """The movers of some tenants as of `now`."""
    followers = Followers(database, tenants)
    lively = await followers.warming(now - LATELY, 3 * limit)
    cooling = await followers.cooling(now, now + LATELY, limit)
    lost = await followers.lost(now - LOST_WITHIN, limit)
    quiet = await followers.quiet_buyers(now - QUIET_AFTER, limit)
    numbers = await Scorings(database).of([*lively, *cooling, *lost, *quiet])
    # Of those who brought the most lately some have lost more in the same week than they brought.
    warming = [each for each in lively if sum(_points(each, numbers, now, 7).values()) > 0][:limit]
    shown = {each["_id"]: each for each in (*warming, *cooling, *lost, *quiet)}
    listed = await reading.listed_followers(database, tenants, list(shown.values()), now)
    told = {
        name: _mover(document, follower, numbers, now)
        for (name, document), follower in zip(shown.items(), listed, strict=True)
    }
    return Movers(
        warming=[told[each["_id"]] for each in warming],
        cooling=[told[each["_id"]] for each in cooling],
        lost=[told[each["_id"]] for each in lost],
        quiet_buyers=[told[each["_id"]] for each in quiet],
    )


def _mover(document: Document, follower: Follower, numbers: Numbers, now: datetime) -> Mover:
    noted = document.get("stage_noted") or {}
    return Mover(
        **follower.model_dump(),
        last_7d=Points(**_points(document, numbers, now, 7)),
        last_30d=Points(**_points(document, numbers, now, 30)),
        came_from=noted.get("from"),
        since=noted.get("at"),
    )


def _points(document: Document, numbers: Numbers, now: datetime, over: int) -> dict[str, int]:
    """The difference of each dimension over some days."""
    changed = why.changes(document["days"], numbers[document["scoring"]], ms(now), over)
    return {name: round(each.points) for name, each in changed.items()}
