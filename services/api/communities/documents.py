"""Communities, their members and events as stored."""

from datetime import datetime
from typing import Any, Literal, TypedDict

from rapport.domain.communities.community import CommunityRule
from services.api.storage.stored import read

What = Literal["joined", "left"]
Because = Literal["rule changed", "follower changed", "time", "erased"]


class CommunityTermsDocument(TypedDict):
    """What people decide about a community."""

    name: str
    description: str
    rule: dict[str, Any]
    """JSON; see `rule_of`."""
    text: str
    """The same rule as text."""


class CommunityDocument(CommunityTermsDocument):
    """`communities`, and `removed_communities` for those that can be brought back."""

    _id: str
    """`<brand>/<community>`."""
    brand: str
    community: str
    revision: int
    """Of the rule."""
    checked_revision: int
    """The rule by which everybody was judged."""
    checked_after: str
    """How far the pass through all followers is, by `_id`."""
    members: int
    events: int
    """How many there were; each has the next number."""
    removed_at: datetime | None
    """Set while its members and events are being removed."""
    created_at: datetime
    created_by: str
    updated_at: datetime


class MemberDocument(TypedDict):
    """`community_members`."""

    _id: str
    """`<brand>/<community>/<platform>/<follower>`."""
    brand: str
    community: str
    platform: str
    follower: str
    since: datetime


class EventDocument(TypedDict):
    """`community_events`: somebody joined or left."""

    _id: str
    """`<brand>/<community>/<number>`."""
    brand: str
    community: str
    number: int
    platform: str | None
    """Null of an erased person, like `follower`."""
    follower: str | None
    what: What
    at: datetime
    because: Because


class CheckDocument(TypedDict):
    """`community_checks`: when time alone makes a follower join or leave."""

    _id: str
    """The follower's."""
    brand: str
    at: datetime


def rule_of(community: CommunityTermsDocument) -> CommunityRule:
    """The rule of a stored community. Raises NewerError if only a later version can read it."""
    rule: CommunityRule = read(community["rule"], CommunityRule)  # type: ignore[arg-type]
    return rule
