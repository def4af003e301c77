"""Scoring routes: what each kind of interaction is worth, how it fades, and what a stage needs."""

from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter

from rapport.contracts.scoring import Scoring, Weight
from rapport.domain.relationships.relationship import DEFAULT
from rapport.kit import clock
from rapport.kit.broker.producer import NotAcknowledgedError
from services.api.http.context import ContextDep
from services.api.http.problems import ProblemError, responses, unavailable
from services.api.http.schemas import Page
from services.api.keys.service import Admin, Reader
from services.api.scoring.documents import ScoringDocument
from services.api.scoring.repository import Scorings, stored
from services.api.scoring.schemas import ScoringInput, ScoringVersion

router = APIRouter(prefix="/v1", tags=["relationships"])

MOST_VERSIONS = 4_000
"""The versions of stored followers have room for so many."""


@router.get("/relationships/scoring")
async def get_scoring(_who: Reader, context: ContextDep) -> ScoringVersion:
    """The scoring in force."""
    found = await Scorings(context.database).all()
    return _stored_version(found[0]) if found else _version(DEFAULT)


@router.get("/relationships/scoring/versions")
async def list_scorings(_who: Reader, context: ContextDep) -> Page[ScoringVersion]:
    """All versions, the latest first; the defaults last."""
    found = [_stored_version(each) for each in await Scorings(context.database).all()]
    return Page(items=[*found, _version(DEFAULT)])


@router.put("/relationships/scoring", responses=responses(403, 409, 503))
async def set_scoring(new: ScoringInput, who: Admin, context: ContextDep) -> ScoringVersion:
    """Sets a new scoring for all brands. All relationships are scored again, including the past; this takes minutes."""
    if who.brands is not None:
        raise ProblemError(
            403, "forbidden", "the scoring is the same for all brands, so this needs a key for all brands"
        )
    scorings = Scorings(context.database)
    version = await scorings.latest() + 1
    if version > MOST_VERSIONS:
        raise ProblemError(409, "conflict", f"there have been {MOST_VERSIONS} versions, which is the limit")
    scoring = Scoring(
        version=version,
        weights=DEFAULT.weights | {kind: Weight(**each.model_dump()) for kind, each in new.weights.items()},
        half_life_days=DEFAULT.half_life_days | dict(new.half_life_days),
        scale=DEFAULT.scale | dict(new.scale),
        thresholds=DEFAULT.thresholds | dict(new.thresholds),
        buys_for_days=DEFAULT.buys_for_days if new.buys_for_days is None else new.buys_for_days,
    )
    at = clock.now()
    if not await scorings.add(scoring, new.why, who.name, at):
        raise ProblemError(409, "conflict", "somebody else changed the scoring at the same time; look at it again")
    try:
        await context.publisher.publish_scorings()
    except NotAcknowledgedError as error:
        raise unavailable(f"the scoring is stored, but not in the log yet; Rapport keeps trying: {error}") from error
    return _version(scoring, new.why, who.name, at)


def _stored_version(document: ScoringDocument) -> ScoringVersion:
    return _version(stored(document), document["why"], document["by"], document["at"])


def _version(
    scoring: Scoring, why: str | None = None, by: str | None = None, at: datetime | None = None
) -> ScoringVersion:
    numbers: dict[str, Any] = msgspec.to_builtins(scoring)
    return ScoringVersion.model_validate({**numbers, "why": why, "by": by, "at": at})
