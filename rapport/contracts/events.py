"""Every event that travels through Kafka, as msgspec structs. JSON on the wire; times are RFC 3339 UTC.

A reader ignores fields it does not know. A field is never renamed or given another meaning: a change that an old
reader could misunderstand gets a new type version (`rapport.interaction.v2`) or a new kind (another tag) beside the old
one. An old reader waits at both, and at a new value of a `Literal`.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

Kind: TypeAlias = Literal[
    "comment", "mention", "message", "reply", "reaction", "share", "follow", "post",
    "edit", "delete", "hide", "unhide", "block", "vote", "entry", "purchase",
]  # fmt: skip
KINDS: frozenset[str] = frozenset(get_args(Kind))

# What a follower says to a brand: each opens, or joins, an exchange.
SPOKEN: frozenset[str] = frozenset({"comment", "mention", "message"})
# What meets its exchange in the partition of its conversation; everything else is keyed by follower.
CONVERSATIONAL: frozenset[str] = SPOKEN | {"reply", "edit", "delete", "hide", "unhide"}
# What someone of the brand does, whom the follower it concerns is not.
BY_THE_BRAND: frozenset[str] = frozenset({"reply", "post", "hide", "unhide"})

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=512)]
UtcTime: TypeAlias = Annotated[datetime, Meta(tz=True)]
OccurredAtSource: TypeAlias = Literal["platform", "author", "receipt"]
Medium: TypeAlias = Literal["image", "video", "audio", "link"]


class Actor(Struct, omit_defaults=True, frozen=True):
    """Who did it: a person's identity on one platform; on a `reply` and a `post` someone of the brand."""

    id: Text
    handle: str | None = None
    name: str | None = None
    avatar_url: str | None = None
    bot: bool = False
    url: str | None = None
    """The address of the profile."""
    links: Annotated[tuple[Annotated[str, Meta(max_length=2048)], ...], Meta(max_length=20)] = ()
    """Addresses on the profile that the platform has verified to be the same person's."""


class Object(Struct, omit_defaults=True, frozen=True):
    """The thing itself; on `edit`, `delete`, `hide`, `unhide` the thing it happens to."""

    id: Text
    url: str | None = None


class Parent(Struct, omit_defaults=True, frozen=True):
    """What the interaction answers. `actor` is the id of the parent's author, when the platform tells."""

    id: Text
    actor: str | None = None


class Interaction(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One immutable fact from a platform, the same shape for every platform.

    `id` names the fact on its platform: the same fact sent twice has the same id. Where a thing can toggle, the id
    contains the verb and the platform's version or time.
    """

    id: Text
    brand: Text
    platform: Text
    account: Text
    kind: Kind
    actor: Actor
    object: Object
    conversation: Text
    occurred_at: UtcTime
    observed_at: UtcTime
    occurred_at_source: OccurredAtSource = "platform"
    claimed_at: UtcTime | None = None
    """When its author says that it was written, where that is not believed: the platform saw it at `occurred_at`."""
    clamped: bool = False
    """`occurred_at` lay more than 5 minutes in the future and was set to `observed_at`."""
    undo: bool = False
    parent: Parent | None = None
    thread: Text | None = None
    post: Text | None = None
    text: str | None = None
    media: tuple[Medium, ...] = ()
    language: str | None = None
    reaction: str | None = None
    amount: Decimal | None = None
    currency: str | None = None
    campaign: str | None = None
    automatic: bool = False
    staff: bool = False
    """By someone of the brand from an account of their own: no follower, so it opens no clock and adds to no score."""


class Tick(Struct, omit_defaults=True, frozen=True):
    """Moves the clock of its partition, by nothing but the time at which the log appended it."""

    scored: UtcTime | None = None
    """Up to which time of the log everything in the partition was scored when it was sent; missing where the sender
    did not know.
    """


ExchangeState: TypeAlias = Literal["open", "answered", "answered_late", "cancelled", "superseded"]
Step: TypeAlias = Literal["warning", "breach", "escalation", "retracted", "resolved"]


class FollowerRef(Struct, omit_defaults=True, frozen=True):
    """A follower as other events name one."""

    id: Text
    handle: str | None = None
    name: str | None = None
    kept_until: UtcTime | None = None
    """Until when the platform's terms let handle and name be kept; once it is over, both are missing."""


class FirstComment(Struct, omit_defaults=True, frozen=True):
    """The comment that opened an exchange: its object id, address, and text, cut to an excerpt."""

    id: Text
    url: str | None = None
    text: str | None = None
    kept_until: UtcTime | None = None
    """Until when the platform's terms let the text be kept; once it is over, the text is missing."""


class DecisionRef(Struct, frozen=True):
    """Who said that no reply is needed, when, and why."""

    by: str
    at: UtcTime
    why: str


class PolicyRef(Struct, frozen=True):
    """Which version of the brand's policy set the clock, and the index of its rule. Version 0 is the default."""

    version: int
    rule: int


class ExchangeSnapshot(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="fact", tag="exchange"):
    """An exchange as it now stands. The highest `revision` of an `id` wins."""

    id: Text
    brand: Text
    platform: Text
    account: Text
    conversation: Text
    thread: Text
    follower: FollowerRef
    first: FirstComment
    comments: int
    opened_at: UtcTime
    due_at: UtcTime
    state: ExchangeState
    revision: int
    policy: PolicyRef
    cancelled_because: str | None = None
    decision: DecisionRef | None = None
    backfilled: bool = False
    breached_at: UtcTime | None = None
    answered_at: UtcTime | None = None
    answered_by: str | None = None
    response_seconds: float | None = None
    business_seconds: float | None = None
    """The part of `response_seconds` that lay in business hours; the same where the rule has no calendar."""
    stage_wanted: bool = False
    """The clock waits to be told the stage of its follower."""
    received_at: UtcTime | None = None
    """When ingest received the first comment: nobody could know of it here earlier. None where it came before this was
    noted."""


class Spoken(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="fact", tag="spoken"):
    """A follower's comment, mention or message, or a reply to the follower, told to the relationship it belongs to.

    `undone` says that it was deleted or hidden; the highest `revision` of an `object` wins.
    """

    brand: Text
    platform: Text
    account: Text
    follower: FollowerRef
    kind: Literal["comment", "mention", "message", "reply"]
    object: Text
    occurred_at: UtcTime
    revision: int
    undone: bool = False


ExchangeEvent: TypeAlias = ExchangeSnapshot | Spoken


class Alert(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One word to the brand about one exchange. `id` is derived, so the same step has the same id again."""

    id: Text
    brand: Text
    platform: Text
    account: Text
    exchange: Text
    step: Step
    follower: FollowerRef
    first: FirstComment
    comments: int
    opened_at: UtcTime
    due_at: UtcTime
    created_at: UtcTime
    """The clock of the partition when the alert was decided."""
    unconfirmed: bool = False
    answered_at: UtcTime | None = None
    received_at: UtcTime | None = None
    """When ingest received the first comment. None where it came before this was noted."""


class MissingPost(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One word to the brand about a planned post that was not published. `id` is derived from plan and time."""

    id: Text
    brand: Text
    platform: Text
    account: Text
    plan: Text
    planned_at: UtcTime
    created_at: UtcTime
    text: str | None = None
    """The planned text, cut to an excerpt."""
    owner: str | None = None
    unconfirmed: bool = False
    """Rapport could not hear whether it was published."""


Notice: TypeAlias = Alert | MissingPost
"""What the notifier tells a brand."""


class Account(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """A brand's account on one platform, with the secrets of its generic door (the newest first)."""

    id: Text
    platform: Text
    handle: str
    connected_at: UtcTime
    door_secrets: tuple[str, ...]
    old_secrets_until: UtcTime | None = None
    """Until when the door also takes secrets other than the newest, which was rotated in. None: for good."""
    connection: dict[str, str] = {}
    """What the platform's connector needs, for instance `service` (the address to stream from) on Bluesky."""
    staff: tuple[str, ...] = ()
    """The platform's ids of people who work for the brand, and of further accounts of its own."""


class MailChannel(Struct, frozen=True, kw_only=True, tag_field="type", tag="mail"):
    """Alerts by mail to one address, through the installation's mail server."""

    id: Text
    to: Text


class WebhookChannel(Struct, frozen=True, kw_only=True, tag_field="type", tag="webhook"):
    """Alerts by HTTP POST, signed as Standard Webhooks with `secret` (`whsec_` and base64)."""

    id: Text
    url: Text
    secret: Text


Channel: TypeAlias = MailChannel | WebhookChannel


class UnknownChannel(Struct, frozen=True, kw_only=True):
    """A channel that this version cannot use: its type, or its shape, is from a later version."""

    id: str
    type: str


class Brand(Struct, frozen=True, kw_only=True):
    """A client of the agency, whole: the record with the highest revision replaces the ones before."""

    id: Text
    name: str
    timezone: str
    accounts: tuple[Account, ...] = ()
    channels: tuple[Channel, ...] = ()
    revision: int = 0
    """Rises with each change of the brand. 0 in records from before there was one."""
    channels_since: dict[str, UtcTime] = {}
    """When each channel was added, by id; older channels are missing. Older alerts are not sent to it."""
