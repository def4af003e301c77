"""The agency's numbers for relationships: what each kind of interaction is worth, how it fades, what a stage takes."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter

from rapport.domain.relationship import DEFAULT, Scoring, Weight
from rapport.domain.times import ms, utc
from services.api.auth import Admin, Reader
from services.api.broker import NotAcknowledgedError
from services.api.context import ContextDep
from services.api.problems import ProblemError, responses, unavailable
from services.api.repositories.scorings import Scorings, stored
from services.api.schemas.common import Page
from services.api.schemas.scoring import ScoringInput, ScoringVersion

router = APIRouter(prefix="/v1", tags=["relationships"])

MOST_VERSIONS = 4_000
"""The views order what they show by a number that has room for so many."""


@router.get("/relationships/scoring")
async def get_scoring(_who: Reader, context: ContextDep) -> ScoringVersion:
    """The numbers in force."""
    found = await Scorings(context.database).all()
    return _version(stored(found[0]), found[0]) if found else _version(DEFAULT, {})


@router.get("/relationships/scoring/versions")
async def list_scorings(_who: Reader, context: ContextDep) -> Page[ScoringVersion]:
    """Every version, the latest first; the defaults last."""
    found = [_version(stored(each), each) for each in await Scorings(context.database).all()]
    return Page(items=[*found, _version(DEFAULT, {})])


@router.put("/relationships/scoring", responses=responses(403, 409, 503))
async def set_scoring(new: ScoringInput, who: Admin, context: ContextDep) -> ScoringVersion:
    """Sets new numbers for every brand. Each relationship is summed up anew, the past included; it takes minutes."""
    if who.brands is not None:
        raise ProblemError(403, "forbidden", "these numbers are every brand's, so they take a key for all brands")
    scorings = Scorings(context.database)
    version = await scorings.latest() + 1
    if version > MOST_VERSIONS:
        raise ProblemError(409, "conflict", f"there have been {MOST_VERSIONS} versions, which is the most")
    scoring = Scoring(
        version=version,
        weights=DEFAULT.weights | {kind: Weight(**each.model_dump()) for kind, each in new.weights.items()},
        half_life_days=DEFAULT.half_life_days | dict(new.half_life_days),
        scale=DEFAULT.scale | dict(new.scale),
        thresholds=DEFAULT.thresholds | dict(new.thresholds),
        buys_for_days=DEFAULT.buys_for_days if new.buys_for_days is None else new.buys_for_days,
    )
    at = utc(ms(datetime.now(UTC)))
    if not await scorings.add(scoring, new.why, who.name, at):
        raise ProblemError(409, "conflict", "somebody else set these numbers at the same time; look at them again")
    try:
        await context.publisher.publish_scorings()
    except NotAcknowledgedError as error:
        raise unavailable(f"the numbers are stored and not in the log yet, which is tried again: {error}") from error
    return _version(scoring, {"why": new.why, "by": who.name, "at": at})


def _version(scoring: Scoring, said: dict[str, Any]) -> ScoringVersion:
    numbers: dict[str, Any] = msgspec.to_builtins(scoring)
    return ScoringVersion.model_validate(numbers | {name: said.get(name) for name in ("why", "by", "at")})
