"""What people answered: by vote, by a word in a comment, mention or message, or on the form; the latest counts.

A vote says its choice in `text`, else in `reaction`. A comment answers a choice by the word of exactly one option; a
question in free words is answered by a comment on its own post. What is deleted, hidden or undone is no answer, so the
one before it counts again; what is edited after the end counts as it read then.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import Struct

from rapport.domain import words
from rapport.domain.campaigns.campaign import (
    SAID,
    CampaignFact,
    Change,
    Scope,
    Standing,
    concerns,
    has_word,
    standings,
    within,
)

By: TypeAlias = Literal["vote", "comment", "form"]
ACTS = SAID | {"vote"}
"""The interactions that a survey looks at."""
LONGEST_ANSWER = 1_000


class Option(Struct, frozen=True, kw_only=True):
    """One of a question's answers; `keywords` are what people write to choose it, besides its label."""

    id: str
    label: str
    keywords: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """All that chooses it."""
        return (self.label, *self.keywords)


class Question(Struct, frozen=True, kw_only=True):
    """A question: a choice where it has options, else in free words. `post` is where it alone is asked."""

    id: str
    text: str
    options: tuple[Option, ...] = ()
    post: str | None = None


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody answered to one question. `id` is the interaction's, or the form's."""

    at: datetime
    id: str
    by: By
    option: str | None = None
    text: str | None = None


Answers: TypeAlias = dict[str, Answer]
"""By question."""


class Answered(Struct, frozen=True):
    """One follower's answers, and the things that they rest on, or would: what happens to one may change them."""

    answers: Answers
    objects: tuple[str, ...]


def answered(
    scope: Scope,
    questions: Sequence[Question],
    facts: Iterable[CampaignFact],
    changes: Iterable[Change],
    form: Mapping[str, Answer],
    now: datetime,
) -> Answered:
    """What one follower, whose facts these are, has answered as of `now`; `form` is what came in on the form."""
    found: Answers = {}
    objects: dict[str, None] = {}
    for each in standings(scope, facts, changes):
        if not _about(scope, questions, each):
            continue
        objects[each.fact.object] = None
        if each.taken_back or each.fact.bot or each.fact.staff or not within(scope, each.fact.at) or each.fact.at > now:
            continue
        told = {question.id: answer_of(scope, question, each) for question in questions}
        found = latest(found, {name: answer for name, answer in told.items() if answer is not None})
    return Answered(latest(found, form), tuple(objects))


def latest(some: Mapping[str, Answer], others: Mapping[str, Answer]) -> Answers:
    """The latest answer to each question."""
    found = dict(some)
    for question, answer in others.items():
        if question not in found or _when(found[question]) < _when(answer):
            found[question] = answer
    return found


def wanted(scope: Scope, questions: Sequence[Question], fact: CampaignFact, text: str | None) -> bool:
    """Whether a fact, reading `text`, may be an answer to one of the questions."""
    if fact.kind not in ACTS or (scope.accounts and fact.account not in scope.accounts):
        return False
    return concerns(scope, fact, text) or any(each.post is not None and each.post == fact.post for each in questions)


def _about(scope: Scope, questions: Sequence[Question], standing: Standing) -> bool:
    fact = standing.fact
    return any(wanted(scope, questions, fact, text) for text in {fact.text, standing.text})


def answer_of(scope: Scope, question: Question, standing: Standing) -> Answer | None:
    """What something that was said or voted answers to a question; None where that is nothing."""
    fact = standing.fact
    own = question.post is not None and question.post == fact.post
    # Elsewhere, words are about the questions that have no post of their own.
    if not own and (question.post is not None or not concerns(scope, fact, standing.text)):
        return None
    by: By = "vote" if fact.kind == "vote" else "comment"
    text = (standing.text or fact.reaction) if by == "vote" else standing.text
    if not question.options:
        said = (text or "").strip()[:LONGEST_ANSWER] if own else ""
        return Answer(at=fact.at, id=fact.id, by=by, text=said) if said else None
    option = chosen(question, text or "")
    return Answer(at=fact.at, id=fact.id, by=by, option=option) if option else None


def chosen(question: Question, text: str) -> str | None:
    """The option that a text chooses: the one that it is, else the only one whose word is in it."""
    same = {each.id for each in question.options if any(_same(word, text) for word in each.words)}
    if len(same) == 1:
        return same.pop()
    named = {each.id for each in question.options if any(has_word(word, text) for word in each.words)}
    return named.pop() if len(named) == 1 else None


def repeated(options: Iterable[Option]) -> list[str]:
    """The words that would choose more than one of the options."""
    owners: dict[str, set[str]] = {}
    for option in options:
        for word in option.words:
            owners.setdefault(words.key(word), set()).add(option.id)
    return sorted(word for word, keys in owners.items() if len(keys) > 1)


def _same(word: str, text: str) -> bool:
    return words.key(word) == words.key(text) != ""


def _when(answer: Answer) -> tuple[datetime, str]:
    return answer.at, answer.id
