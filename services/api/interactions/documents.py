"""Interactions, and the profiles they mention, as stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NotRequired, TypedDict, cast

from bson import Timestamp

from rapport.contracts.events import BY_THE_BRAND, Interaction, OccurredAtSource
from rapport.domain.identity import plain_url
from rapport.domain.retention import kept_until
from rapport.domain.times import ms
from services.api.storage.versions import plain

# They name an earlier comment, and are found by its id.
_ABOUT_ITS_OBJECT = frozenset({"edit", "delete", "hide", "unhide"})


PROFILE = ("handle", "name", "avatar_url", "url", "links")
"""What `actor` says of a profile."""
LENGTH_OF_HOUR = len("2026-11-27T22")


class ActorDocument(TypedDict):
    """Who did it."""

    id: str
    handle: NotRequired[str | None]
    name: NotRequired[str | None]
    avatar_url: NotRequired[str | None]
    bot: NotRequired[bool]
    url: NotRequired[str | None]
    links: NotRequired[list[str]]


class ObjectDocument(TypedDict):
    """The thing itself, or the thing it happens to."""

    id: str
    url: NotRequired[str | None]


class ParentDocument(TypedDict):
    """What it answers."""

    id: str
    actor: NotRequired[str | None]


class InteractionDocument(TypedDict):
    """`interactions`: a `rapport.contracts.events.Interaction` without its defaults, and what it is found by."""

    _id: str
    """`<brand>/<platform>/<interaction>`"""
    interaction: str
    """Its id on the platform."""
    brand: str
    platform: str
    account: str
    kind: str
    actor: ActorDocument
    object: ObjectDocument
    conversation: str
    occurred_at: datetime
    observed_at: datetime
    hour: datetime
    """The full UTC hour in which it occurred."""
    follower: NotRequired[str]
    """Who did it or, of a reply, whom it answers; missing where the platform does not say."""
    about: NotRequired[str]
    """The earlier thing that it edits, deletes, hides or answers."""
    arrived: NotRequired[Timestamp]
    """When MongoDB stored it; missing in documents from before this was noted."""
    occurred_at_source: NotRequired[OccurredAtSource]
    claimed_at: NotRequired[datetime]
    clamped: NotRequired[bool]
    undo: NotRequired[bool]
    parent: NotRequired[ParentDocument]
    thread: NotRequired[str]
    post: NotRequired[str]
    text: NotRequired[str | None]
    media: NotRequired[list[str]]
    language: NotRequired[str]
    reaction: NotRequired[str]
    amount: NotRequired[str]
    """A decimal number."""
    currency: NotRequired[str]
    campaign: NotRequired[str]
    automatic: NotRequired[bool]
    staff: NotRequired[bool]
    text_until: NotRequired[datetime]
    """Until when the platform's terms let the text be kept, if there was one and they limit that."""
    profile_until: NotRequired[datetime]
    """The same of what `actor` says of a profile."""
    forget_at: NotRequired[datetime]
    """The first of these that has not come yet."""
    heard: NotRequired[str]
    """Stands in for the text where that is no longer kept: see `rapport.domain.retention.stand_in`."""


class ProfileDocument(TypedDict):
    """`profiles`: what a follower's latest interaction said about their profile."""

    _id: str
    """The follower's."""
    brand: str
    platform: str
    follower: str
    url: str | None
    links: list[str]
    """Addresses on the profile that the platform has verified."""
    version: int
    """When that interaction occurred (ms)."""
    forget_at: NotRequired[datetime]
    """Until when the platform's terms let it be kept, if they limit that."""


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


def interaction_document(interaction: Interaction) -> InteractionDocument:
    """An interaction as stored."""
    fields = plain(interaction)
    fields["interaction"] = fields.pop("id")
    fields["_id"] = interaction_id(interaction.brand, interaction.platform, interaction.id)
    fields["hour"] = hour_of(interaction.occurred_at)
    document = cast("InteractionDocument", fields)
    parent = interaction.parent
    if interaction.kind not in BY_THE_BRAND:
        document["follower"] = interaction.actor.id
    elif interaction.kind == "reply" and parent is not None and parent.actor is not None:
        document["follower"] = parent.actor
    if interaction.kind in _ABOUT_ITS_OBJECT:
        document["about"] = interaction.object.id
    elif interaction.kind == "reply" and parent is not None:
        document["about"] = parent.id
    if interaction.kind not in BY_THE_BRAND or interaction.staff:
        _limit(document, interaction)
    return document


def _limit(document: InteractionDocument, interaction: Interaction) -> None:
    """Notes until when the platform's terms let be kept what somebody wrote, and who that is."""
    text = kept_until(interaction.platform, "texts", interaction.observed_at) if interaction.text else None
    named = any(getattr(interaction.actor, name) for name in PROFILE)
    profile = kept_until(interaction.platform, "profiles", interaction.observed_at) if named else None
    if text is not None:
        document["text_until"] = text
    if profile is not None:
        document["profile_until"] = profile
    if times := [each for each in (text, profile) if each is not None]:
        document["forget_at"] = min(times)


def said(document: Mapping[str, Any]) -> str | None:
    """What an interaction says, for whoever looks for words: its text, or what stands in for it."""
    return document.get("text") or document.get("heard")


def profile_document(interaction: Interaction) -> ProfileDocument | None:
    """What an interaction says about its author's profile; None if it says nothing."""
    who = interaction.actor
    if interaction.kind in BY_THE_BRAND or not (who.url or who.links):
        return None
    document: ProfileDocument = {
        "_id": follower_id(interaction.brand, interaction.platform, who.id),
        "brand": interaction.brand,
        "platform": interaction.platform,
        "follower": who.id,
        "url": plain_url(who.url) if who.url else None,
        "links": sorted({plain_url(link) for link in who.links}),
        "version": ms(interaction.occurred_at),
    }
    until = kept_until(interaction.platform, "profiles", interaction.observed_at)
    if until is not None:
        document["forget_at"] = until
    return document
