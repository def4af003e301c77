"""Posts, their labels and figures, and the settings of the mix, as stored."""

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict


class LabelFields(TypedDict):
    """The label of a post."""

    label: str
    """`business`, `personal` or `unsorted`."""
    label_by: Literal["hand", "plan", "rule"] | None
    labelled_with: int
    """The revision of the brand's settings whose rules were applied."""


class PostFigures(TypedDict):
    """What a post brought."""

    comments: int
    reactions: int
    shares: int
    new_relationships: int


class PostText(TypedDict):
    """A post as it reads now."""

    _id: str
    """Of the interaction that told it."""
    brand: str
    platform: str
    account: str
    post: str
    """Its object id."""
    published_at: datetime
    text: str | None
    url: str | None
    format: str


class PostDocument(PostText, PostFigures, LabelFields):
    """`posts`: a published post. The upkeep rebuilds it from the stored facts."""


class LabelledPost(LabelFields):
    """What is read of a post to check its label."""

    _id: str
    brand: str
    text: str | None


class PostLabelDocument(TypedDict):
    """`post_labels`: a label that somebody gave a post by hand."""

    _id: str
    """The post's."""
    brand: str
    label: str
    by: str
    at: datetime


class PostSumDocument(TypedDict):
    """`post_sums`: what a post brought, as the sum of its parts."""

    _id: str
    """`<brand>/<platform>/<post>`"""
    brand: str
    platform: str
    post: str
    comments: int
    reactions: int
    shares: int
    new_relationships: int | None
    """Null until they were first counted."""
    built: str | None
    """The parts of all followers up to this one exist; null once all of them do."""
    revision: int
    """Grows with each change."""


class PostPartDocument(TypedDict):
    """`post_parts`: what one follower did with one post and still counts. There is none where nothing counts."""

    _id: str
    """A JSON array of brand, platform, follower and post."""
    brand: str
    comments: NotRequired[int]
    reactions: NotRequired[int]
    shares: NotRequired[int]


class MixSettingsDocument(TypedDict):
    """`mix_settings`: the targets and rules of a brand."""

    _id: str
    """The brand's."""
    brand: str
    labels: dict[str, float]
    """Target shares."""
    formats: dict[str, float]
    rules: list[dict[str, Any]]
    """Each a `rapport.domain.mix.labels.LabelRule`."""
    revision: int
    """Grows with each change; posts with labels by an earlier one are labelled again."""
