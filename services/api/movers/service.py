"""Relationships that change."""

from datetime import datetime, timedelta

from rapport.domain.relationships import why
from rapport.domain.times import ms
from services.api.followers.documents import ListedFollower
from services.api.followers.repository import Followers
from services.api.followers.schemas import Follower
from services.api.followers.service import listed_followers
from services.api.movers.schemas import Mover, Movers, Points
from services.api.scoring.repository import Numbers, Scorings
from services.api.storage.tenants import Database, Tenants

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
    # Some of those who brought the most lately lost even more in the same week.
    warming = [each for each in lively if sum(_points(each, numbers, now, 7).values()) > 0][:limit]
    shown = {each["_id"]: each for each in (*warming, *cooling, *lost, *quiet)}
    listed = await listed_followers(database, tenants, list(shown.values()), now)
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


def _mover(document: ListedFollower, follower: Follower, numbers: Numbers, now: datetime) -> Mover:
    noted = document.get("stage_noted")
    return Mover(
        **follower.model_dump(),
        last_7d=Points(**_points(document, numbers, now, 7)),
        last_30d=Points(**_points(document, numbers, now, 30)),
        came_from=noted["from"] if noted else None,
        since=noted["at"] if noted else None,
    )


def _points(document: ListedFollower, numbers: Numbers, now: datetime, over: int) -> dict[str, int]:
    """How each dimension changed in the last `over` days."""
    changed = why.changes(document["days"], numbers[document["scoring"]], ms(now), over)
    return {name: round(each.points) for name, each in changed.items()}
