"""Control records: settings, decisions and news in a partition of `conversations`, which are part of its state."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from rapport.contracts.business_hours import Calendar
from rapport.contracts.events import Text, UtcTime
from rapport.contracts.scoring import Scoring

Stage: TypeAlias = Literal["new", "knows", "likes", "trusts", "buys"]


class When(Struct, omit_defaults=True, frozen=True, forbid_unknown_fields=True):
    """What a rule applies to; an absent field applies to all."""

    platform: str | None = None
    kind: Literal["comment", "mention", "message"] | None = None
    account: str | None = None
    stage: tuple[Stage, ...] = ()
    """The follower's stage when the exchange opened, one of these."""
    words: tuple[str, ...] = ()
    """One of these words or phrases, whole and in any case, in the first 280 characters."""
    bot: bool | None = None
    """Whether the platform says that the author is a bot."""
    empty: bool | None = None
    """Whether it is nothing but a reaction: a text without letter or digit, and no picture or link."""


class PolicyRule(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """How soon an exchange is due, in open seconds of its calendar (elapsed ones without), and what is said when.

    Without `target_seconds` what it applies to has no clock at all.
    """

    target_seconds: int | None
    when: When = When()
    warn_at: tuple[float, ...] = (0.75,)
    """Fractions of the target at which a warning is sent."""
    escalate_after_seconds: tuple[int, ...] = ()
    """After the due time, by the same calendar."""
    calendar: str | None = None
    """One of the version's `calendars`."""
    automatic_answers: bool = False
    """Whether an automatic reply answers."""


class PolicyVersion(Struct, frozen=True, kw_only=True, tag_field="control", tag="policy"):
    """A brand's rules from `effective_from` on; the first rule that matches an exchange wins."""

    brand: Text
    version: int
    effective_from: UtcTime
    rules: tuple[PolicyRule, ...]
    calendars: dict[str, Calendar] = {}


class AccountConnected(Struct, frozen=True, kw_only=True, tag_field="control", tag="account"):
    """What was written to the account before `connected_at` is backfilled: it has a clock and alerts nobody."""

    brand: Text
    account: Text
    platform: Text
    connected_at: UtcTime


class AccountDisconnected(Struct, frozen=True, kw_only=True, tag_field="control", tag="disconnected"):
    """What still waited on the account at `disconnected_at` waits no more."""

    brand: Text
    account: Text
    platform: Text
    disconnected_at: UtcTime


class Decided(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="control", tag="decision"):
    """Someone of the brand said that an exchange needs no reply, or is spam, or took that back (`undone`).

    Of one exchange the newest, by `at` and `id`, holds.
    """

    id: Text
    brand: Text
    platform: Text
    thread: Text
    follower: Text
    exchange: Text
    at: UtcTime
    by: str
    why: str
    spam: bool = False
    undone: bool = False


class StageTold(Struct, frozen=True, kw_only=True, tag_field="control", tag="stage"):
    """The stage of a follower when a comment opened an exchange whose policy asks for it. The first one counts."""

    brand: Text
    platform: Text
    thread: Text
    follower: Text
    comment: Text
    stage: Stage


class FollowerBlocked(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="control", tag="block"):
    """The brand blocked a follower at `at`, or lifted that; told to a thread in which an exchange of theirs is open."""

    id: Text
    brand: Text
    platform: Text
    thread: Text
    follower: Text
    at: UtcTime
    lifted: bool = False


Absence: TypeAlias = Literal["deleted", "suspended", "back"]
"""What became of a person's account: gone with all that it wrote, out of sight for a while, or there again."""


class FollowerAway(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="control", tag="away"):
    """The platform says what became of a follower's account. The newest, by `at` and `id`, holds.

    Ingest writes it to the follower's partition of `engagements`; from there each `thread` with an open exchange of
    theirs is told.
    """

    id: Text
    brand: Text
    platform: Text
    follower: Text
    at: UtcTime
    how: Absence
    thread: Text | None = None


class Heartbeat(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="control", tag="heartbeat"):
    """An ingest process is running; `behind` are the accounts for which it may not have everything yet.

    Of these, `disconnected` are those whose stream is not open at all.
    """

    instance: Text
    behind: tuple[Annotated[str, Meta(max_length=512)], ...] = ()
    disconnected: tuple[Annotated[str, Meta(max_length=512)], ...] = ()


class ScoringSet(Struct, frozen=True, kw_only=True, tag_field="control", tag="scoring"):
    """The agency's numbers for all its brands, from here on and for all that was. The highest version holds."""

    scoring: Scoring


class PersonTold(Struct, omit_defaults=True, frozen=True, kw_only=True, tag_field="control", tag="person"):
    """What the other followers of the same person bring to a follower's stage. The highest revision holds.

    `person` is None where the follower is linked to nobody any more.
    """

    brand: Text
    platform: Text
    follower: Text
    revision: int
    person: str | None
    sums: dict[str, float] = {}
    last_purchase_at: UtcTime | None = None
    shadow: bool = False
    """Another of the person's followers stands for the person in lists."""


class FollowerErased(Struct, frozen=True, kw_only=True, tag_field="control", tag="erased"):
    """A follower of a brand is to be forgotten, with everything so far and to come. Nothing takes it back."""

    brand: Text
    platform: Text
    follower: Text
    at: UtcTime


class PartitionsAdded(Struct, frozen=True, kw_only=True, tag_field="control", tag="partitions"):
    """The first record of each partition of `conversations` that was added when `was` became `now`.

    What `at` (the next offset per `topic:partition`) leaves out came before that. From there on, a key's records are in
    its new partition.
    """

    was: int
    now: int
    at: dict[str, int]


Control: TypeAlias = (
    PolicyVersion
    | AccountConnected
    | AccountDisconnected
    | Decided
    | StageTold
    | FollowerBlocked
    | FollowerAway
    | Heartbeat
    | ScoringSet
    | PersonTold
    | FollowerErased
    | PartitionsAdded
)
