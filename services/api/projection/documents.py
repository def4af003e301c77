"""What the views store: one document per interaction, exchange, follower and alert.

`version` orders what was written of one `_id`: the epoch of the scorer's application id above the revision of the row.
"""

from datetime import datetime
from typing import Any

import msgspec

from rapport.contracts.controls import Heartbeat
from rapport.contracts.events import Alert, ExchangeSnapshot, Interaction
from rapport.contracts.rows import FollowerRow
from rapport.domain.counting import standing
from rapport.domain.decay import rank_of
from rapport.domain.identity import plain_url
from rapport.domain.relationship import DIMENSIONS, Scoring, stage, stage_until
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document

_REVISION_BITS = 40
"""A row would have to change a thousand times a second for 34 years to need more."""
_SCORING_BIT = 28
"""In the revision of a follower: above it the version of the agency's numbers, below it what happened."""

# Where the actor is, or may be, the brand: who the interaction concerns is not who did it.
_BY_THE_BRAND = frozenset({"reply", "post", "hide", "unhide"})
# What happens to an earlier comment is found again by the comment's id.
_ABOUT_ITS_OBJECT = frozenset({"edit", "delete", "hide", "unhide"})


LENGTH_OF_HOUR = len("2026-11-27T22")


def version_of(epoch: int, revision: int) -> int:
    """A number that grows with (epoch, revision) and fits a signed 64-bit integer."""
    return epoch << _REVISION_BITS | revision


def interaction_id(brand: str, platform: str, id: str) -> str:
    """The `_id` of an interaction, also of a follower: neither brand nor platform contains a slash."""
    return f"{brand}/{platform}/{id}"


follower_id = interaction_id


def hour_of(time: datetime) -> datetime:
    """The full UTC hour that a time lies in."""
    return time.replace(minute=0, second=0, microsecond=0)


def hour_id(brand: str, hour: datetime) -> str:
    """The `_id` of an hour's counts. The year has four digits, which `%Y` does not promise."""
    return f"{brand}/{hour.isoformat()[:LENGTH_OF_HOUR]}"


def _plain(event: object) -> Document:
    found: Document = msgspec.to_builtins(event, builtin_types=(datetime,))
    return found


def interaction_document(interaction: Interaction) -> Document:
    """An interaction as stored: its own fields, and `follower`, `about` and `hour` to find it by."""
    document: dict[str, Any] = _plain(interaction)
    document["interaction"] = document.pop("id")
    document["_id"] = interaction_id(interaction.brand, interaction.platform, interaction.id)
    document["hour"] = hour_of(interaction.occurred_at)
    parent = interaction.parent
    if interaction.kind not in _BY_THE_BRAND:
        document["follower"] = interaction.actor.id
    elif interaction.kind == "reply" and parent is not None and parent.actor is not None:
        document["follower"] = parent.actor
    if interaction.kind in _ABOUT_ITS_OBJECT:
        document["about"] = interaction.object.id
    elif interaction.kind == "reply" and parent is not None:
        document["about"] = parent.id
    return document


def exchange_document(snapshot: ExchangeSnapshot, epoch: int) -> Document:
    """An exchange as stored. Fields that queries filter by are always there."""
    document = _plain(snapshot)
    del document["fact"]
    document["_id"] = document.pop("id")
    document["backfilled"] = snapshot.backfilled
    document["breached_at"] = snapshot.breached_at
    document["stage_wanted"] = snapshot.stage_wanted
    document["version"] = version_of(epoch, snapshot.revision)
    return document


def follower_document(row: FollowerRow, epoch: int) -> Document:
    """A follower as stored, with a rank per dimension that sorts and filters as of any time without a rewrite."""
    sums = {name: sum(row.contributions.get(name, {}).values()) for name in DIMENSIONS}
    standing_sums, bought = standing(row)
    return {
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
        **{f"{name}_rank": rank_of(standing_sums.get(name, 0.0)) for name in DIMENSIONS},
        "momentum_rank": rank_of(row.momentum),
        "scoring": row.scoring,
        "person": row.person.person if row.person else None,
        "shadow": row.person.shadow if row.person else False,
        "standing": {"sums": standing_sums, "last_purchase_at": utc(bought) if bought is not None else None},
        "version": version_of(epoch, row.scoring << _SCORING_BIT | row.revision),
    }


def standing_of(document: Document) -> tuple[dict[str, float], int | None]:
    """What `rapport.domain.counting.standing` says of the row of a stored follower."""
    bought = document["standing"]["last_purchase_at"]
    return document["standing"]["sums"], ms(bought) if bought else None


def stage_fields(document: Document, scoring: Scoring, now: datetime) -> Document:
    """A follower's stage at `now`, the person's where it is linked to others, and when it falls by itself.

    Without one, a follower is in no list: another of the person's followers stands for it there.
    """
    if document["shadow"]:
        return {"stage": None, "stage_until": None}
    held = (*standing_of(document), ms(now), scoring)
    until = stage_until(*held)
    return {"stage": stage(*held), "stage_until": None if until is None else utc(until)}


def profile_document(interaction: Interaction) -> Document | None:
    """What an interaction says of its author's profile; None where that is nothing. The latest said is stored."""
    who = interaction.actor
    if interaction.kind in _BY_THE_BRAND or not (who.url or who.links):
        return None
    return {
        "_id": follower_id(interaction.brand, interaction.platform, who.id),
        "brand": interaction.brand,
        "platform": interaction.platform,
        "follower": who.id,
        "url": plain_url(who.url) if who.url else None,
        "links": sorted({plain_url(link) for link in who.links}),
        "version": ms(interaction.occurred_at),
    }


def heartbeat_document(heartbeat: Heartbeat, appended: int) -> Document:
    """An ingest process as it last said that it is there, at `appended` (ms of log time)."""
    return {
        "_id": heartbeat.instance,
        "version": appended,
        "at": utc(appended),
        "behind": list(heartbeat.behind),
        "disconnected": list(heartbeat.disconnected),
    }


def alert_document(alert: Alert) -> Document:
    """An alert as stored."""
    document = _plain(alert)
    document["_id"] = document.pop("id")
    document["unconfirmed"] = alert.unconfirmed
    return document
