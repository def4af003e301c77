"""Followers as stored."""

from datetime import datetime
from typing import NotRequired, TypedDict, cast

from rapport.contracts.controls import Stage
from rapport.contracts.rows import FollowerRow
from rapport.contracts.scoring import Scoring
from rapport.domain.relationships.counting import standing
from rapport.domain.relationships.decay import rank_of
from rapport.domain.relationships.relationship import DIMENSIONS, stage, stage_until
from rapport.domain.times import ms, utc
from services.api.interactions.documents import follower_id
from services.api.storage.versions import version_of

_SCORING_BIT = 28
"""In the revision of a follower: the version of the scoring is above it, what happened below."""


class StandingDocument(TypedDict):
    """What a stage and scores are told from: of the whole person, where the follower is linked to others."""

    sums: dict[str, float]
    """By dimension."""
    last_purchase_at: datetime | None


class FollowerStanding(TypedDict):
    """What is read of a follower to tell the stage."""

    _id: str
    standing: StandingDocument
    scoring: int
    """The version of the scoring that the sums are made with."""


class StageBasis(FollowerStanding):
    """What is read of a follower to write the stage."""

    shadow: bool
    """Another follower stands for the person in lists."""
    version: int
    """Epoch, version of the scoring and revision; only a higher one replaces what is stored."""


class StageFields(TypedDict):
    """The stage; see `stage_fields`."""

    stage: Stage | None
    stage_until: datetime | None


StageNoted = TypedDict(
    "StageNoted", {"stage": Stage | None, "from": Stage | None, "at": datetime, "fell_at": datetime | None}
)
"""Which stage a follower came from, when that was noted, and when it fell (null if it rose)."""


class _Follower(StageBasis):
    brand: str
    platform: str
    follower: str
    """The id on the platform."""
    handle: str | None
    name: str | None
    avatar_url: str | None
    bot: bool
    first_seen: datetime
    last_seen: datetime
    last_purchase_at: datetime | None
    counts: dict[str, int]
    """Interactions by kind."""
    sums: dict[str, float]
    """What the follower alone brings, by dimension."""
    know_rank: float
    """The ranks sort and filter as of any time, without a rewrite."""
    like_rank: float
    trust_rank: float
    momentum_rank: float
    """By what was brought lately."""
    person: str | None
    """Null for a follower who is linked to nobody."""


class NewFollower(_Follower):
    """A follower as the scorer's row says, before the stage is told."""

    contributions: dict[str, dict[str, float]]
    """By dimension and kind."""
    days: dict[str, dict[str, int]]
    """How many of each kind count per event day."""
    person_revision: NotRequired[int]
    """Of what the scorer was told last about the person. Missing where it was told nothing."""
    names_until: NotRequired[dict[str, datetime]]
    """Until when the platform's terms let handle, name or picture be kept, of those that they limit."""
    forget_at: NotRequired[datetime]
    """The first of these."""


class StagedFollower(NewFollower, StageFields):
    """A follower as the projector writes one."""


class FollowerSummary(_Follower, StageFields):
    """A follower without what is counted by day and kind."""

    stage_noted: NotRequired[StageNoted]
    """Missing until the stage was first noted, as it is where there is none."""
    written_at: NotRequired[datetime]
    """Set by MongoDB."""


class ListedFollower(FollowerSummary):
    """A follower as lists read one."""

    days: dict[str, dict[str, int]]


class FollowerDocument(ListedFollower):
    """`followers`: a relationship."""

    contributions: dict[str, dict[str, float]]


def follower_document(row: FollowerRow, epoch: int) -> NewFollower:
    """A follower as stored, but for the stage."""
    sums = {name: sum(row.contributions.get(name, {}).values()) for name in DIMENSIONS}
    standing_sums, bought = standing(row)
    document: NewFollower = {
        "_id": follower_id(row.brand, row.platform, row.follower),
        "brand": row.brand,
        "platform": row.platform,
        "follower": row.follower,
        "handle": row.handle,
        "name": row.name,
        "avatar_url": row.avatar_url,
        "bot": row.bot,
        "first_seen": row.first_seen,
        "last_seen": row.last_seen,
        "last_purchase_at": row.last_purchase_at,
        "counts": row.counts,
        "contributions": row.contributions,
        "days": row.days,
        "sums": sums,
        "know_rank": rank_of(standing_sums.get("know", 0.0)),
        "like_rank": rank_of(standing_sums.get("like", 0.0)),
        "trust_rank": rank_of(standing_sums.get("trust", 0.0)),
        "momentum_rank": rank_of(row.momentum),
        "scoring": row.scoring,
        "person": row.person.person if row.person else None,
        "shadow": row.person.shadow if row.person else False,
        "standing": {"sums": standing_sums, "last_purchase_at": utc(bought) if bought is not None else None},
        "version": version_of(epoch, row.scoring << _SCORING_BIT | row.revision),
    }
    if row.person is not None:
        document["person_revision"] = row.person.revision
    if row.kept_until:
        document["names_until"] = {part: utc(until) for part, until in row.kept_until.items()}
        document["forget_at"] = utc(min(row.kept_until.values()))
    return document


def standing_of(document: FollowerStanding) -> tuple[dict[str, float], int | None]:
    """Landmark sums, and the last purchase (ms), as `rapport.domain.relationships.counting.standing` gives them."""
    bought = document["standing"]["last_purchase_at"]
    return document["standing"]["sums"], ms(bought) if bought else None


def stage_fields(document: StageBasis, scoring: Scoring, now: datetime) -> StageFields:
    """The stage at `now`, of the whole person if the follower is linked to others, and when it falls by itself.

    A follower without a stage is in no list: another of the person's followers is there instead.
    """
    if document["shadow"]:
        return {"stage": None, "stage_until": None}
    held = (*standing_of(document), ms(now), scoring)
    until = stage_until(*held)
    return {"stage": cast("Stage", stage(*held)), "stage_until": None if until is None else utc(until)}
