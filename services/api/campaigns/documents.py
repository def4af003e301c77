"""Campaigns, entries, draws and answers as stored."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Literal, NotRequired, TypedDict, cast, final

import msgspec

from rapport.domain.campaigns.campaign import Scope
from rapport.domain.campaigns.giveaway import Reason, RequirementKind, Rules
from rapport.domain.campaigns.survey import Answer, By, Question
from services.api.storage.stored import read

Kind = Literal["giveaway", "survey"]


class RequirementTerms(TypedDict):
    """What an entry needs."""

    kind: RequirementKind
    word: str | None
    """Of a comment only."""


class GiveawayTerms(TypedDict):
    """What makes an entry valid, and how many are drawn."""

    match: Literal["all", "any"]
    requirements: list[RequirementTerms]
    since_before_start: bool
    winners: int
    alternates: int
    beacon_source: str | None


class OptionTerms(TypedDict):
    """An answer to choose."""

    id: str
    label: str
    keywords: list[str]


class QuestionTerms(TypedDict):
    """A question of a survey; free words answer it if it has no options."""

    id: str
    text: str
    options: list[OptionTerms]
    post: str | None


class SurveyTerms(TypedDict):
    """What a survey asks, and whether it has a public form."""

    questions: list[QuestionTerms]
    form: bool


class QuestionTally(TypedDict, total=False):
    """The answers to a question, counted."""

    options: dict[str, int]
    texts: int
    by: dict[By, int]


class Tally(TypedDict, total=False):
    """What a campaign has come to. It changes in one transaction with what it counts."""

    valid: int
    refused: int
    duplicates: int
    reasons: dict[Reason, int]
    people: int
    questions: dict[str, QuestionTally]


class _SharedTerms(TypedDict):
    name: str
    starts_at: datetime
    ends_at: datetime
    until: datetime
    """Earlier than `ends_at` if somebody ended the campaign by hand."""
    followed_until: datetime
    """Until when late facts are looked for."""
    accounts: list[str]
    posts: list[str]
    """The platform's object ids."""
    hashtag: str | None
    survey: SurveyTerms | None
    form: str | None
    """The token in the address of the public form."""


class CampaignTerms(_SharedTerms):
    """What a request can change of a campaign that has not begun."""

    giveaway: GiveawayTerms | None


class _Shared(_SharedTerms):
    _id: str
    """`<brand>/<campaign>`."""
    brand: str
    campaign: str
    kind: Kind
    created_at: datetime
    created_by: str
    revision: int
    """Of the terms."""
    drawn_at: datetime | None
    counted_revision: int
    """Of the terms that `tally` was counted by."""
    counted_at: datetime | None
    """Everything that came in until then is counted."""
    tally: Tally
    counts: NotRequired[int]
    """Rises with each change of the tally, so that a concurrent draw fails."""


class CampaignDocument(_Shared):
    """`campaigns`."""

    giveaway: GiveawayTerms | None
    commitment: NotRequired[str]
    """The SHA-256 of a giveaway's seed."""
    proof: NotRequired[str]
    """The token in the address of a giveaway's public proof."""
    seed: NotRequired[str]
    """Secret until the draw. Lists leave it out, and the salt too."""
    salt: NotRequired[str]
    """With it entries are hashed."""


class GiveawayDocument(_Shared):
    """A campaign that is a giveaway."""

    giveaway: GiveawayTerms
    commitment: str
    proof: str
    seed: NotRequired[str]
    salt: NotRequired[str]


class FulfilledTerms(TypedDict):
    """The interaction that fulfilled a requirement, by the requirement's place in the list."""

    requirement: int
    interaction: str
    at: datetime


@final
class EntryDocument(TypedDict):
    """`campaign_entries`."""

    _id: str
    """`<brand>/<campaign>/<platform>/<follower>`."""
    brand: str
    campaign: str
    platform: str
    follower: str
    hash: str
    """The entry's name in the proof."""
    at: datetime
    valid: bool
    reasons: list[Reason]
    fulfilled: list[FulfilledTerms]
    duplicates: int
    objects: list[str]
    """What the entry rests on."""


class ReplacedWinner(TypedDict):
    """An alternate in a winner's place."""

    winner: str
    alternate: str
    at: datetime
    by: str
    why: str


class DrawDocument(TypedDict):
    """`campaign_draws`: a draw. Entries are named by their hashes."""

    _id: str
    """The campaign's."""
    brand: str
    campaign: str
    at: datetime
    by: str
    seed: str
    commitment: str
    beacon: str
    """Empty if there was none."""
    digest: str
    """Of the entries."""
    entries: int
    winners: list[str]
    alternates: list[str]
    replaced: list[ReplacedWinner]
    show_winners: bool


class DrawPart(TypedDict):
    """`campaign_draws`: some of the entries that were drawn from, sorted."""

    _id: str
    """`<brand>/<campaign>/<part>`."""
    brand: str
    campaign: str
    part: int
    hashes: list[str]


class StoredAnswer(TypedDict):
    """An answer to one question."""

    at: datetime
    id: str
    """The interaction's, or the form's."""
    by: By
    option: NotRequired[str]
    text: NotRequired[str]


@final
class AnswersDocument(TypedDict):
    """`survey_answers`: what one person answered in a survey."""

    _id: str
    """`<brand>/<campaign>/<platform>/<follower>`, or `<brand>/<campaign>/~<form>` of somebody unknown."""
    brand: str
    campaign: str
    platform: str | None
    follower: str | None
    answers: dict[str, StoredAnswer]
    """By question."""
    texts: list[str]
    """The questions that were answered in free words."""
    form: dict[str, StoredAnswer] | None
    """What came in on the form."""
    at: datetime | None
    objects: list[str]
    """What the answers rest on."""


class SurveyLinkDocument(TypedDict):
    """`survey_links`: a personal link to a survey's form."""

    _id: str
    """The token in its address."""
    brand: str
    campaign: str
    platform: str
    follower: str
    created_at: datetime
    used_at: datetime | None


def scope_of(campaign: CampaignDocument) -> Scope:
    """What a stored campaign is about."""
    return Scope(
        id=campaign["campaign"],
        starts_at=campaign["starts_at"],
        until=campaign["until"],
        accounts=tuple(campaign["accounts"]),
        posts=tuple(campaign["posts"]),
        hashtag=campaign["hashtag"],
    )


def rules_of(campaign: CampaignDocument) -> Rules:
    """What makes an entry of a stored giveaway valid."""
    return read(campaign["giveaway"], Rules)


def questions_of(campaign: CampaignDocument) -> list[Question]:
    """What a stored survey asks."""
    survey = campaign["survey"]
    assert survey is not None, "only surveys ask"
    return read(survey["questions"], list[Question])


def answers_of(stored: Mapping[str, StoredAnswer]) -> dict[str, Answer]:
    """Stored answers, by question."""
    return read(stored, dict[str, Answer])


def stored_answers(answers: Mapping[str, Answer]) -> dict[str, StoredAnswer]:
    """Answers as stored, by question."""
    plain = msgspec.to_builtins(dict(answers), builtin_types=(datetime,))
    return cast("dict[str, StoredAnswer]", plain)


def answers_document(
    campaign: CampaignDocument,
    id: str,
    who: tuple[str, str] | None,
    answers: Mapping[str, Answer],
    objects: Collection[str],
    form: dict[str, StoredAnswer] | None,
) -> AnswersDocument:
    """A person's answers as stored. `who` is the follower, if known; `form` is what came in on the form."""
    platform, follower = who or (None, None)
    return {
        "_id": id,
        "brand": campaign["brand"],
        "campaign": campaign["campaign"],
        "platform": platform,
        "follower": follower,
        "answers": stored_answers(dict(sorted(answers.items()))),
        "texts": [question for question, each in sorted(answers.items()) if each.text is not None],
        "at": max((each.at for each in answers.values()), default=None),
        "objects": list(objects),
        "form": form,
    }


def counted(document: EntryDocument | AnswersDocument | None) -> dict[str, int]:
    """What an entry, or a person's answers, add to the tally of their campaign."""
    if document is None:
        return {}
    if "valid" in document:
        found = {"valid" if document["valid"] else "refused": 1, "duplicates": document["duplicates"]}
        return found | {f"reasons.{reason}": 1 for reason in document["reasons"]}
    found = {"people": 1} if document["answers"] else {}
    for question, answer in document["answers"].items():
        chosen = f"options.{answer['option']}" if answer.get("option") else "texts"
        found |= {f"questions.{question}.{chosen}": 1, f"questions.{question}.by.{answer['by']}": 1}
    return found


def difference(
    before: EntryDocument | AnswersDocument | None, after: EntryDocument | AnswersDocument | None
) -> dict[str, int]:
    """How a campaign's tally changes, as for `$inc`, when `after` replaces `before`."""
    old, new = counted(before), counted(after)
    changed = {name: new.get(name, 0) - old.get(name, 0) for name in {*old, *new}}
    # `$inc` must not be empty; and `counts` always moves, so that a concurrent draw fails.
    return {f"tally.{name}": value for name, value in changed.items() if value} | {"counts": 1}
