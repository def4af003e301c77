"""Where an interaction belongs: its conversation, its thread, the follower it concerns, its topic and key; and when.

The conversation is the key of a partition, so a comment, its answer, its edit and its deletion have to derive the same
one; the thread is what an exchange lives in. What a platform says wins over what can be derived.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rapport.contracts.events import CONVERSATIONAL, Actor, Interaction, Object, OccurredAtSource, Parent
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, Topic, key_of
from rapport.domain.times import OUT_OF_RANGE, in_range

FUTURE_ALLOWED = timedelta(minutes=5)
"""How far ahead of ours a platform's clock may run before its time is not believed."""

NETWORK_MAY_TAKE = timedelta(minutes=2)
"""How long before the platform saw it a live record may say that it was written. A slow network explains that much."""

LONGEST_KEY = 512
"""Characters of a conversation; what `Text` of the contracts allows."""

NEEDS_OBJECT = frozenset({"edit", "delete", "hide", "unhide"})
"""Kinds that happen to something else; on every other kind the thing itself is meant."""
HIDING = frozenset({"hide", "unhide"})
"""Done by the brand, so the actor does not say which follower is concerned."""


class UnaddressableError(ValueError):
    """An interaction that does not say what it belongs to. `where` is the field that is missing or wrong."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(why)
        self.where = where


@dataclass(frozen=True)
class Address:
    """What `address` derives. `thread` is None where parent links have to connect what belongs together."""

    conversation: str
    thread: str | None


@dataclass(frozen=True)
class Occurred:
    """When it occurred as we take it (UTC), who says so, and whether a time in the future was set back."""

    at: datetime
    source: OccurredAtSource
    clamped: bool


def address(
    *,
    kind: str,
    account: str,
    actor: Actor,
    object: Object | None,
    parent: Parent | None = None,
    conversation: str | None = None,
    thread: str | None = None,
    post: str | None = None,
) -> Address:
    """Conversation and thread, each as given, else derived.

    The conversation is the thread given, else the post, else the pair `account:follower`. The thread is a conversation
    given, else the post, else for private messages all of them with this account, else None.

    Raises UnaddressableError for a pair longer than a key may be, for what happens to a thing and does not name it,
    for a reply that names neither conversation, thread, post nor its parent's author, and for what the brand hides
    without the first three.
    """
    if kind in NEEDS_OBJECT and object is None:
        raise UnaddressableError("object", f"kind {kind} has to name the object it happens to")
    given = conversation or thread or post
    if given is None:
        follower = _partner(kind, actor, parent)
        if follower is None:
            raise UnaddressableError("conversation", _missing(kind))
        given = f"{account}:{follower}"
        if len(given) > LONGEST_KEY:
            raise UnaddressableError("conversation", f"account and follower together exceed {LONGEST_KEY} characters")
    if thread is None:
        thread = conversation or post or (f"messages:{account}" if kind == "message" else None)
    return Address(given, thread)


def _partner(kind: str, actor: Actor, parent: Parent | None) -> str | None:
    if kind == "reply":
        return (parent.actor or None) if parent else None
    return None if kind in HIDING else actor.id


def _missing(kind: str) -> str:
    if kind == "reply":
        return "kind reply needs conversation, thread, post or parent.actor, else its comment cannot be found"
    return f"kind {kind} is done by the brand, so it needs conversation, thread or post to find its comment"


def topic_of(kind: str) -> Topic:
    """The one topic that interactions of a kind travel on."""
    return CONVERSATIONS if kind in CONVERSATIONAL else ENGAGEMENTS


def key(interaction: Interaction) -> bytes:
    """The record's key: by conversation what takes part in one, by follower everything else."""
    last = interaction.conversation if interaction.kind in CONVERSATIONAL else interaction.actor.id
    return key_of(interaction.brand, interaction.platform, last)


def occurred(at: datetime | None, source: OccurredAtSource, observed_at: datetime) -> Occurred:
    """When it occurred: `at`, but never more than 5 minutes after `observed_at`; without one, `observed_at` itself.

    Both times carry a zone; the result is UTC. Raises UnaddressableError for a time outside of the supported years.
    """
    if at is None:
        return Occurred(observed_at, "receipt", clamped=False)
    if not in_range(at):
        raise UnaddressableError("occurred_at", OUT_OF_RANGE)
    at = at.astimezone(UTC)
    if at - observed_at > FUTURE_ALLOWED:
        return Occurred(observed_at, source, clamped=True)
    return Occurred(at, source, clamped=False)


def occurred_live(claimed: datetime | None, seen_at: datetime, observed_at: datetime) -> Occurred:
    """When a record occurred that the platform saw at `seen_at`, whatever its author's clock says.

    What the author claims is believed as far as the network explains the difference; otherwise it is when the platform
    saw it, and without a claim when we did. So nobody's clock starts before the brand could know, or after the platform
    knew. Raises UnaddressableError.
    """
    if claimed is not None and claimed > seen_at + FUTURE_ALLOWED:
        return replace(occurred(seen_at, "author", observed_at), clamped=True)
    if claimed is not None and not is_prompt(claimed, seen_at):
        return occurred(seen_at, "platform", observed_at)
    return occurred(claimed, "author", observed_at)


def is_prompt(claimed: datetime, seen_at: datetime) -> bool:
    """Whether the network explains how long it took from when an author says it was written to when it was seen."""
    return timedelta() <= seen_at - claimed <= NETWORK_MAY_TAKE
