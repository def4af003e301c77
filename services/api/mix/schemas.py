"""Posts, the content mix, and its targets and rules."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints, model_validator

from services.api.http.schemas import Day, Input, Number, PageQuery

Label = Literal["business", "personal"]
LabelOrNone = Literal["business", "personal", "unsorted"]
Format = Literal["image", "video", "text", "link", "audio"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), Number]
MOST_RULES = 100

From = Annotated[
    Day | None,
    Field(alias="from", description="The first day, in the brand's time zone; by default there are 30 days."),
]
To = Annotated[Day | None, Field(description="The last day, in the brand's time zone; today by default.")]


class PeriodQuery(Input):
    """Days in the brand's time zone, at most 366."""

    from_: From = None
    to: To = None


class PostsQuery(PageQuery):
    """Which posts, the latest first."""

    label: LabelOrNone | None = None
    from_: From = None
    to: To = None


class Estimate(BaseModel):
    """A figure with its 95 % interval; the bounds are null if it is not known how much posts differ."""

    value: float
    low: float | None
    high: float | None


class Brought(BaseModel):
    """How many in total, and per post."""

    total: int
    per_post: Estimate | None


class Part(BaseModel):
    """The posts of one label or format. `standing` compares the share, with its interval, to the target."""

    name: str
    posts: int
    share: Annotated[Estimate | None, Field(description="The share of a label is among the posts that have one.")]
    target: float | None
    standing: Literal["below", "near", "above"] | None
    comments: Brought
    reactions: Brought
    shares: Brought
    new_relationships: Annotated[Brought, Field(description="Followers whose first interaction was on the post.")]


class Mix(BaseModel):
    """The mix of the posts that were published on some days."""

    first: date
    last: date
    timezone: str
    posts: int
    unsorted: Annotated[int, Field(description="Posts without a label. No label's share includes them.")]
    labels: list[Part]
    formats: list[Part]


class Post(BaseModel):
    """A published post."""

    id: str
    platform: str
    account: str
    published_at: AwareDatetime
    text: str | None
    url: str | None
    format: Format
    label: LabelOrNone
    label_by: Annotated[Literal["hand", "plan", "rule"] | None, Field(description="Where the label comes from.")]
    comments: int
    reactions: int
    shares: int
    new_relationships: int


class LabelInput(Input):
    """A label by hand. It takes precedence over the plan and the rules."""

    label: Label


# That a text can contain them is only checked on saving, so that what was stored under older rules can be read.
Hashtag = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^\S+$", max_length=100)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class MixRule(Input):
    """Gives posts with a hashtag, or with a word or phrase, a label. Matches whole words in any case."""

    label: Label
    hashtag: Hashtag | None = None
    word: Word | None = None

    @model_validator(mode="after")
    def _one(self) -> "MixRule":
        if (self.hashtag is None) == (self.word is None):
            raise ValueError("a rule has either a hashtag or a word")
        return self


class MixSettings(Input):
    """Targets and rules. Targets are shares from 0 to 1; the first rule that matches a post applies."""

    labels: dict[Label, Share] = Field(default_factory=dict)
    formats: dict[Format, Share] = Field(default_factory=dict)
    rules: Annotated[list[MixRule], Field(max_length=MOST_RULES)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _within_the_whole(self) -> "MixSettings":
        for name, targets in (("labels", self.labels), ("formats", self.formats)):
            if sum(targets.values()) > 1 + 1e-9:
                raise ValueError(f"the targets of {name} add up to more than 1")
        return self
