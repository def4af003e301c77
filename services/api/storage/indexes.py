"""The indexes of the read side. Every query uses one of them; a test checks the query plans."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database

from rapport.domain.outreach import SEVERAL
from rapport.kit.mongo import Document
from services.api.calendar.repository import UNDO_WITHIN
from services.api.charges.documents import KEPT as CHARGES_KEPT
from services.api.listening.documents import KEPT_MINUTES
from services.api.web.receipts import KEPT

_UP, _DOWN = ASCENDING, DESCENDING


def _index(name: str, keys: Sequence[tuple[str, int]], **more: Any) -> IndexModel:
    return IndexModel(list(keys), name=name, **more)


_FORGET = _index("forget", [("forget_at", _UP)], partialFilterExpression={"forget_at": {"$type": "date"}})
"""Only documents with something that has to be dropped because of a platform's terms."""

INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "accounts": (
        _index("brand", [("brand", _UP)]),
        _index(
            "token_expires",
            [("connection.token_expires_at", _UP)],
            partialFilterExpression={"connection.token_expires_at": {"$gt": ""}},
        ),
    ),
    "connection_attempts": (
        _index("over", [("until", _UP)], expireAfterSeconds=0),
        _index("state", [("state", _UP)], partialFilterExpression={"state": {"$type": "string"}}),
    ),
    "account_tokens": (_index("ends", [("ends_at", _UP)]),),
    "sessions": (_index("over", [("until", _UP)], expireAfterSeconds=0),),
    "interactions": (
        _FORGET,
        _index("timeline", [("brand", _UP), ("platform", _UP), ("follower", _UP), ("occurred_at", _DOWN)]),
        _index(
            "about",
            [("brand", _UP), ("platform", _UP), ("about", _UP)],
            partialFilterExpression={"about": {"$exists": True}},
        ),
        _index("hourly", [("brand", _UP), ("hour", _UP), ("kind", _UP)]),
        # In the order in which MongoDB stored them, overall and within an hour.
        _index("arrived", [("brand", _UP), ("arrived", _UP)]),
        _index("hour_arrived", [("brand", _UP), ("hour", _UP), ("arrived", _UP), ("kind", _UP)]),
        # What a follower did with a post, and what refers to an object of a post.
        *(
            _index(name, keys, partialFilterExpression={"post": {"$exists": True}})
            for name, keys in (
                (
                    "of_post_by_follower",
                    [
                        *(("brand", _UP), ("platform", _UP), ("post", _UP)),
                        *(("follower", _UP), ("kind", _UP), ("object.id", _UP)),
                    ],
                ),
                (
                    "on_posts",
                    [("brand", _UP), ("platform", _UP), ("object.id", _UP), ("kind", _UP), ("follower", _UP)],
                ),
            )
        ),
        _index(
            "published",
            [("brand", _UP), ("platform", _UP), ("object.id", _UP)],
            partialFilterExpression={"kind": "post"},
        ),
        *(
            _index(name, keys, partialFilterExpression={"undo": True})
            for name, keys in (
                ("undone", [("brand", _UP), ("platform", _UP), ("object.id", _UP), ("undo", _UP)]),
                ("taken_back", [("brand", _UP), ("platform", _UP), ("object.id", _UP), ("follower", _UP)]),
            )
        ),
        # What the brand did to others.
        *(
            _index(name, keys, partialFilterExpression={"staff": True})
            for name, keys in (
                ("outreach", [("brand", _UP), ("occurred_at", _DOWN), ("_id", _DOWN)]),
                ("reached", [("brand", _UP), ("platform", _UP), ("parent.actor", _UP), ("occurred_at", _DOWN)]),
                ("reached_object", [("brand", _UP), ("platform", _UP), ("object.id", _UP), ("staff", _UP)]),
            )
        ),
        # Follows and blocks: they may be much older than a campaign.
        *(
            _index(
                name,
                [("brand", _UP), ("platform", _UP), ("follower", _UP), ("occurred_at", _UP)],
                partialFilterExpression={"kind": kind},
            )
            for name, kind in (("follows", "follow"), ("blocks", "block"))
        ),
    ),
    "exchanges": (
        _FORGET,
        _index("due", [("brand", _UP), ("state", _UP), ("due_at", _UP), ("_id", _UP)]),
        # Backfilled exchanges are long overdue: without this index, all of them would be read before the live ones.
        _index("due_live", [("brand", _UP), ("state", _UP), ("backfilled", _UP), ("due_at", _UP), ("_id", _UP)]),
        _index("due_everywhere", [("state", _UP), ("due_at", _UP), ("_id", _UP)]),
        _index("opened", [("brand", _UP), ("state", _UP), ("opened_at", _DOWN), ("_id", _DOWN)]),
        _index("opened_everywhere", [("state", _UP), ("opened_at", _DOWN), ("_id", _DOWN)]),
        _index("follower", [("brand", _UP), ("platform", _UP), ("follower.id", _UP), ("state", _UP)]),
        _index("outcome", [("brand", _UP), ("backfilled", _UP), ("due_at", _UP), ("state", _UP)]),
        _index(
            "answer_parts",
            [
                *(("brand", _UP), ("backfilled", _UP), ("answered_at", _DOWN), ("state", _UP)),
                *(("response_seconds", _UP), ("business_seconds", _UP), ("received_at", _UP)),
            ],
        ),
    ),
    "followers": (
        _FORGET,
        # By stage: a list of all followers merges the five.
        _index("by_last_seen", [("brand", _UP), ("stage", _UP), ("last_seen", _DOWN), ("_id", _UP)]),
        _index("by_know", [("brand", _UP), ("stage", _UP), ("know_rank", _DOWN), ("_id", _UP)]),
        _index("by_like", [("brand", _UP), ("stage", _UP), ("like_rank", _DOWN), ("_id", _UP)]),
        _index("by_trust", [("brand", _UP), ("stage", _UP), ("trust_rank", _DOWN), ("_id", _UP)]),
        _index("momentum", [("brand", _UP), ("momentum_rank", _DOWN), ("_id", _UP)]),
        _index("stage_until", [("brand", _UP), ("stage_until", _UP), ("_id", _UP)]),
        _index("fell", [("brand", _UP), ("stage_noted.fell_at", _DOWN), ("_id", _UP)]),
        _index("linked", [("written_at", _UP)], partialFilterExpression={"person": {"$type": "string"}}),
        _index("told", [("written_at", _UP)], partialFilterExpression={"person_revision": {"$type": "number"}}),
        _index("person", [("brand", _UP), ("person", _UP)], partialFilterExpression={"person": {"$type": "string"}}),
        _index("first_seen", [("brand", _UP), ("first_seen", _DOWN)]),
        _index("written", [("brand", _UP), ("written_at", _UP)]),
        # Who wrote several times and was never answered.
        _index(
            "unanswered",
            [("brand", _UP), ("counts.reply", _UP), ("last_seen", _DOWN), ("_id", _UP)],
            partialFilterExpression={"counts.comment": {"$gte": SEVERAL}},
        ),
    ),
    # Forgets processes that are gone for good.
    "listening": (_index("forgotten", [("at", _UP)], expireAfterSeconds=86_400),),
    # Longer than the eight weeks that a rhythm is learned from.
    "heard_minutes": (_index("forgotten", [("day", _UP)], expireAfterSeconds=KEPT_MINUTES),),
    "account_minutes": (
        _index("account", [("account", _UP), ("day", _UP)]),
        _index("brand", [("brand", _UP), ("day", _UP)]),
        _index("forgotten", [("day", _UP)], expireAfterSeconds=KEPT_MINUTES),
    ),
    "account_rhythms": (
        _index("quiet", [("quiet", _UP)], partialFilterExpression={"quiet": True}),
        _index("late", [("late_since", _UP)], partialFilterExpression={"late_since": {"$type": "date"}}),
    ),
    "beginnings": (
        _index("new", [("brand", _UP), ("new", _UP), ("at", _DOWN), ("_id", _DOWN), ("platform", _UP)]),
        _index(
            "post",
            [("brand", _UP), ("platform", _UP), ("post", _UP), ("new", _UP)],
            partialFilterExpression={"post": {"$type": "string"}},
        ),
    ),
    "new_days": (_index("day", [("brand", _UP), ("day", _UP)]),),
    "posts": (
        _index("listed", [("brand", _UP), ("label", _UP), ("published_at", _DOWN), ("_id", _DOWN)]),
        # Covers the query of the mix, so that it reads no posts.
        _index(
            "mix",
            [
                *(("brand", _UP), ("published_at", _UP), ("label", _UP), ("format", _UP)),
                *(("comments", _UP), ("reactions", _UP), ("shares", _UP), ("new_relationships", _UP)),
            ],
        ),
        _index("object", [("brand", _UP), ("platform", _UP), ("post", _UP)]),
        _index("labelled", [("brand", _UP), ("labelled_with", _UP)]),
        _index("newest", [("published_at", _DOWN)]),
        _index("by_account", [("brand", _UP), ("account", _UP), ("published_at", _UP)]),
    ),
    "planned_posts": (
        _index("listed", [("brand", _UP), ("_id", _UP)]),
        _index("when", [("brand", _UP), ("planned_at", _UP), ("_id", _UP)]),
        _index("account", [("brand", _UP), ("account", _UP), ("planned_at", _UP)]),
        _index(
            "missing",
            [("brand", _UP), ("state", _UP), ("published", _UP), ("missing_since", _UP), ("planned_at", _UP)],
        ),
        _index("untold", [("untold", _UP)], partialFilterExpression={"untold": True}),
    ),
    "post_plans": (_index("account", [("brand", _UP), ("account", _UP)]),),
    "post_matches": (_index("account", [("brand", _UP), ("account", _UP)]),),
    "calendar_settings": (_index("feed", [("feed", _UP)]),),
    "campaigns": (
        _index("listed", [("brand", _UP), ("starts_at", _DOWN), ("_id", _DOWN)]),
        _index("followed", [("followed_until", _UP)]),
        _index("proof", [("proof", _UP)]),
        _index("form", [("form", _UP)]),
    ),
    "campaign_entries": (
        _index("listed", [("brand", _UP), ("campaign", _UP), ("valid", _UP), ("at", _DOWN), ("_id", _DOWN)]),
        _index("reasons", [("brand", _UP), ("campaign", _UP), ("reasons", _UP), ("at", _DOWN), ("_id", _DOWN)]),
        _index("hashes", [("brand", _UP), ("campaign", _UP), ("valid", _UP), ("hash", _UP)]),
        _index("follower", [("brand", _UP), ("platform", _UP), ("follower", _UP)]),
        _index("objects", [("brand", _UP), ("platform", _UP), ("objects", _UP)]),
    ),
    "campaign_draws": (_index("parts", [("brand", _UP), ("campaign", _UP), ("part", _UP)]),),
    "survey_answers": (
        _index("texts", [("brand", _UP), ("campaign", _UP), ("texts", _UP), ("at", _DOWN), ("_id", _DOWN)]),
        _index("follower", [("brand", _UP), ("platform", _UP), ("follower", _UP)]),
        _index("objects", [("brand", _UP), ("platform", _UP), ("objects", _UP)]),
    ),
    "survey_links": (_index("follower", [("brand", _UP), ("platform", _UP), ("follower", _UP)]),),
    "communities": (_index("listed", [("brand", _UP), ("removed_at", _UP), ("_id", _UP)]),),
    "community_members": (
        _index("listed", [("brand", _UP), ("community", _UP), ("since", _DOWN), ("_id", _DOWN)]),
        _index("follower", [("brand", _UP), ("platform", _UP), ("follower", _UP), ("community", _UP)]),
    ),
    "community_checks": (_index("due", [("at", _UP)]),),
    "community_events": (
        _index("listed", [("brand", _UP), ("community", _UP), ("number", _DOWN)]),
        _index(
            "follower",
            [("brand", _UP), ("platform", _UP), ("follower", _UP)],
            partialFilterExpression={"follower": {"$type": "string"}},
        ),
    ),
    "stage_after": (_index("due", [("due_at", _UP)]),),
    "stage_weeks": (
        _index("campaign", [("brand", _UP), ("campaign", _UP), ("week", _UP)]),
        _index("week", [("brand", _UP), ("week", _UP), ("campaign", _UP)]),
    ),
    # Only people who are not removed yet have these fields.
    "erased": (_index("left", [("follower", _UP)], partialFilterExpression={"follower": {"$type": "string"}}),),
    "stale": (_index("since", [("what", _UP), ("since", _UP)]),),
    "answer_effects": (_index("due", [("brand", _UP), ("due_at", _UP), ("outcome", _UP), ("direction", _UP)]),),
    "profiles": (
        _FORGET,
        _index("url", [("brand", _UP), ("url", _UP)]),
        # Suggestions need a verified address.
        _index("linking", [("brand", _UP), ("_id", _UP)], partialFilterExpression={"links.0": {"$exists": True}}),
    ),
    "links": (
        _index("of_first", [("brand", _UP), ("a", _UP)]),
        _index("of_second", [("brand", _UP), ("b", _UP)]),
        _index("latest", [("brand", _UP), ("at", _DOWN), ("_id", _UP)]),
    ),
    "linked": (_index("dirty", [("dirty", _UP)], partialFilterExpression={"dirty": {"$type": "string"}}),),
    "link_log": (_index("latest", [("brand", _UP), ("at", _DOWN), ("_id", _DOWN)]),),
    "alerts": (
        _FORGET,
        _index("latest", [("brand", _UP), ("created_at", _DOWN), ("_id", _DOWN)]),
        _index("exchange", [("brand", _UP), ("exchange", _UP)]),
        _index("follower", [("brand", _UP), ("platform", _UP), ("follower.id", _UP)]),
    ),
    "errands": (
        _index("exchange", [("brand", _UP), ("exchange", _UP), ("at", _DOWN), ("_id", _DOWN)]),
        _index("follower", [("brand", _UP), ("platform", _UP), ("follower", _UP)]),
    ),
    # They cover what is counted, so that no charge is read.
    "charges": (
        _index("of_brand", [("brand", _UP), ("month", _UP), ("account", _UP), ("what", _UP)]),
        _index("of_month", [("platform", _UP), ("month", _UP), ("account", _UP), ("what", _UP)]),
        _index("old", [("at", _UP)], expireAfterSeconds=int(CHARGES_KEPT.total_seconds())),
    ),
    "deliveries": (
        _FORGET,
        _index("alert", [("brand", _UP), ("alert", _UP)]),
        # A reminder has no follower.
        _index(
            "follower",
            [("brand", _UP), ("payload.platform", _UP), ("payload.follower.id", _UP)],
            partialFilterExpression={"payload.follower.id": {"$exists": True}},
        ),
    ),
    "hour_parts": (_index("hour", [("brand", _UP), ("hour", _UP)]),),
    "hourly": (
        _index("hour", [("brand", _UP), ("hour", _UP)]),
        _index("drawn", [("brand", _UP), ("drawn", _UP)]),
    ),
    "policies": (_index("version", [("brand", _UP), ("version", _DOWN)]),),
    # MongoDB removes older documents about once a minute.
    **{
        name: (_index("old", [("removed_at", _UP)], expireAfterSeconds=int(UNDO_WITHIN.total_seconds())),)
        for name in ("removed_posts", "removed_communities")
    },
    **{
        name: (_index("old", [("at", _UP)], expireAfterSeconds=int(KEPT.total_seconds())),)
        for name in ("form_receipts", "form_drafts", "request_receipts")
    },
}

GONE: Mapping[str, Sequence[str]] = {
    "interactions": ("of_post", "post_by_hour", "post_by_object", "undone_by_hour"),
    "exchanges": ("answer_times",),
}
"""Indexes that only projectors of earlier versions use (`services.api.projector.upkeep.old_indexes`)."""


def create(database: Database[Document]) -> None:
    """Creates missing indexes. Raises PyMongoError if MongoDB is unavailable."""
    for collection, models in INDEXES.items():
        database[collection].create_indexes(list(models))


def drop_gone(database: Database[Document]) -> None:
    """Drops indexes that are no longer needed: every index slows down every write."""
    for collection, names in GONE.items():
        for name in sorted(database[collection].index_information().keys() & set(names)):
            database[collection].drop_index(name)


async def create_async(database: AsyncDatabase[Document]) -> None:
    """As `create`, with asyncio."""
    for collection, models in INDEXES.items():
        await database[collection].create_indexes(list(models))
