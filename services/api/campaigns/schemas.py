"""Giveaways and surveys, their entries, answers, draws and results."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from rapport.contracts.controls import Stage
from rapport.domain.campaigns.giveaway import Reason, RequirementKind
from services.api.campaigns.documents import Kind
from services.api.followers.schemas import FollowerRefText, FollowerShort
from services.api.http.schemas import AccountId, Id, Input, Name, Number, PageQuery, Seen, Utc, Why
from services.api.mix.schemas import Estimate, Hashtag, Word

State = Literal["planned", "running", "ended", "drawn"]
ObjectId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=512)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Seen]
Beacon = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]

MOST_POSTS = 50
MOST_QUESTIONS = 20
MOST_WINNERS = 1_000


class RequirementInput(Input):
    """What an entry needs. `entry` is an interaction of that kind that names this campaign."""

    kind: RequirementKind
    word: Annotated[Word | None, Field(description="Of a comment only: a word or phrase, whole and in any case.")] = (
        None
    )


class GiveawayInput(Input):
    """What makes an entry valid, and how many are drawn."""

    match: Annotated[Literal["all", "any"], Field(description="All requirements are needed, or any of them.")] = "all"
    requirements: Annotated[list[RequirementInput], Field(max_length=4)]
    since_before_start: Annotated[bool, Field(description="Only for people known before the start.")] = False
    winners: Annotated[int, Field(le=MOST_WINNERS), Number] = 1
    alternates: Annotated[
        int,
        Field(ge=0, le=MOST_WINNERS, description="Drawn after the winners, for those who cannot be reached."),
        Number,
    ] = 3
    beacon_source: Annotated[
        Text | None,
        Field(description="The source of the public value that is added at the draw; announced before the end."),
    ] = None


class OptionInput(Input):
    """An answer that people choose by its label or one of its keywords."""

    id: Id
    label: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Seen]
    keywords: Annotated[list[Word], Field(max_length=20)] = Field(default_factory=list)


class QuestionInput(Input):
    """A question. Without options it is answered in free words."""

    id: Id
    text: Text
    options: Annotated[list[OptionInput], Field(max_length=20)] = Field(default_factory=list)
    post: Annotated[ObjectId | None, Field(description="The post or poll where only this question is asked.")] = None


class SurveyInput(Input):
    """Questions, and whether there is a public form."""

    questions: Annotated[list[QuestionInput], Field(max_length=MOST_QUESTIONS)]
    form: bool = False


class Terms(Input):
    """What a campaign is about and when."""

    name: Name
    starts_at: Utc
    ends_at: Utc
    accounts: Annotated[
        list[AccountId], Field(max_length=50, description="Only these accounts of the brand; all if empty.")
    ] = Field(default_factory=list)
    posts: Annotated[list[ObjectId], Field(max_length=MOST_POSTS, description="Object ids of the brand's posts.")] = (
        Field(default_factory=list)
    )
    hashtag: Hashtag | None = None
    giveaway: GiveawayInput | None = None
    survey: SurveyInput | None = None


class CampaignInput(Terms):
    """A new campaign. Its id is what interactions name in `campaign`."""

    id: Id
    kind: Kind


class CampaignChanges(Input):
    """Changed terms, before the start. What is left out stays as it is."""

    name: Name | None = None
    starts_at: Utc | None = None
    ends_at: Utc | None = None
    accounts: Annotated[list[AccountId], Field(max_length=50)] | None = None
    posts: Annotated[list[ObjectId], Field(max_length=MOST_POSTS)] | None = None
    hashtag: Hashtag | None = None
    giveaway: GiveawayInput | None = None
    survey: SurveyInput | None = None


class Giveaway(BaseModel):
    """A giveaway's rules. `commitment` is the SHA-256 of the seed, which the draw reveals."""

    match: Literal["all", "any"]
    requirements: list[RequirementInput]
    since_before_start: bool
    winners: int
    alternates: int
    beacon_source: str | None
    commitment: str
    proof: Annotated[str, Field(description="The path of the public page with the commitment and, later, the proof.")]


class Survey(BaseModel):
    """A survey's questions. `form` is the path of its public form."""

    questions: list[QuestionInput]
    form: str | None


class Campaign(BaseModel):
    """A campaign. Its figures include everything that came in until `counted_at`."""

    id: str
    kind: Kind
    name: str
    state: State
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    ended_at: Annotated[AwareDatetime | None, Field(description="When somebody ended it early.")]
    accounts: list[str]
    posts: list[str]
    hashtag: str | None
    giveaway: Giveaway | None
    survey: Survey | None
    created_at: AwareDatetime
    created_by: str
    counted_at: AwareDatetime | None
    valid: Annotated[int | None, Field(description="Valid entries of a giveaway.")]
    people: Annotated[int | None, Field(description="People who answered a survey.")]


class CampaignsQuery(PageQuery):
    """Which campaigns, the latest start first."""

    state: Literal["planned", "running", "ended"] | None = None


class FulfilledRule(BaseModel):
    """The interaction that fulfilled a requirement, by the requirement's place in the list."""

    requirement: int
    interaction: str
    at: AwareDatetime


class Entry(BaseModel):
    """One follower's entry. It is valid without `reasons`; `hash` is its name in the proof."""

    follower: FollowerShort
    platform: str
    at: AwareDatetime
    valid: bool
    reasons: list[Reason]
    fulfilled: list[FulfilledRule]
    duplicates: Annotated[int, Field(description="Further interactions that could each have been an entry.")]
    hash: str


class EntriesQuery(PageQuery):
    """Which entries, the latest first."""

    valid: bool = True
    reason: Annotated[
        Reason | None, Field(description="Only those refused for this reason; `valid` is ignored then.")
    ] = None


class DrawInput(Input):
    """A draw. `beacon` is the public value from the announced source."""

    beacon: Beacon | None = None
    show_winners: Annotated[bool, Field(description="Whether the proof shows the winners' handles.")] = False


class DrawChanges(Input):
    """Whether the proof shows the winners' handles."""

    show_winners: bool


class ReplacementInput(Input):
    """A winner who cannot be reached, by the entry's hash, and why the next alternate replaces them."""

    winner: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    why: Why


class Winner(BaseModel):
    """A drawn entry. `follower` is null if the person was erased."""

    hash: str
    follower: FollowerShort | None
    replaced: Annotated[bool, Field(description="An alternate has taken the place.")]


class Replacement(BaseModel):
    """An alternate in a winner's place: who said so, when and why."""

    winner: str
    alternate: str
    at: AwareDatetime
    by: str
    why: str


class Draw(BaseModel):
    """A draw. Before it happens there is only the commitment."""

    commitment: str
    proof: str
    drawn_at: AwareDatetime | None
    by: str | None
    seed: str | None
    beacon: str | None
    entries: int | None
    digest: str | None
    winners: Annotated[list[Winner], Field(description="As drawn, then the alternates that replaced a winner.")]
    alternates: Annotated[list[Winner], Field(description="Those who are left, in order.")]
    replaced: list[Replacement]
    show_winners: bool


class OptionResult(BaseModel):
    """How many chose an option, and their share of the answers with its 95 % interval."""

    id: str
    label: str
    count: int
    share: Estimate | None


class TextAnswer(BaseModel):
    """An answer in free words. `follower` is null if it came from the public form."""

    follower: FollowerShort | None
    at: AwareDatetime
    text: str


class QuestionResult(BaseModel):
    """The answers to a question. The latest of each follower counts."""

    id: str
    text: str
    answers: int
    by: Annotated[dict[str, int], Field(description="By `vote`, `comment` and `form`.")]
    options: list[OptionResult]
    texts: Annotated[list[TextAnswer], Field(description="The latest; `/answers` has all.")]


class ReasonCount(BaseModel):
    """How many entries were refused for a reason. An entry can have several."""

    reason: Reason
    count: int


class Results(BaseModel):
    """What a campaign has come to."""

    campaign: str
    kind: Kind
    counted_at: AwareDatetime | None
    valid: int
    refused: int
    duplicates: int
    reasons: list[ReasonCount]
    people: int
    questions: list[QuestionResult]


class AnswersQuery(PageQuery):
    """Answers to one question in free words, the latest first."""

    question: Annotated[Id | None, Field(description="Default: the first one in free words.")] = None


class SurveyLinkInput(Input):
    """The follower for whom to create a personal link."""

    follower: FollowerRefText


class SurveyLink(BaseModel):
    """The path of a personal form. It can be used once."""

    path: str


class StageShare(BaseModel):
    """How many had reached a stage or a higher one, and their share of those old enough."""

    stage: Stage
    count: int
    share: Estimate | None


class AfterBeginning(BaseModel):
    """The stages of relationships some days after they began. `young` are too recent to tell."""

    days: int
    followers: int
    young: int
    stages: list[StageShare]


class Group(BaseModel):
    """Some relationships, and their stages 30 and 90 days after they began."""

    started: int
    after: list[AfterBeginning]


class Effect(BaseModel):
    """Relationships that a campaign started, compared with all others that began in the same weeks (UTC)."""

    campaign: str
    weeks: list[str]
    campaign_started: Group
    otherwise: Group
