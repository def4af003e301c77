"""Creates, changes and ends campaigns, and checks their terms."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from pydantic import ValidationError

from rapport.domain import words
from rapport.domain.campaigns.draw import commitment_of
from rapport.domain.campaigns.survey import Option, repeated
from rapport.domain.figures import listed
from services.api.accounts.repository import Accounts
from services.api.campaigns.documents import CampaignDocument, CampaignTerms, GiveawayTerms, SurveyTerms
from services.api.campaigns.repository import FOLLOWED, Campaigns
from services.api.campaigns.schemas import (
    CampaignChanges,
    CampaignInput,
    GiveawayInput,
    QuestionInput,
    SurveyInput,
    Terms,
)
from services.api.followers.repository import Followers
from services.api.http.ids import follower_parts
from services.api.http.patterns import said
from services.api.http.problems import FieldProblem, ProblemError, invalid, not_found, wrong_fields
from services.api.storage.tenants import Database, Tenants

LONGEST = timedelta(days=366)
TOKEN_BYTES = 24
"""Nobody guesses the address of a public page."""
SEED_BYTES = 32


async def create(
    database: Database, tenants: Tenants, brand: str, new: CampaignInput, by: str, now: datetime
) -> CampaignDocument:
    """Stores a new campaign. Raises ProblemError (422, 409)."""
    found = [*_kind_problems(new), *await _problems(database, tenants, brand, new)]
    if new.ends_at <= now:
        found.append(FieldProblem(field="ends_at", why="this time is over; announce a campaign before it ends"))
    if found:
        raise wrong_fields(found)
    seed = secrets.token_bytes(SEED_BYTES)
    stored: dict[str, Any] = {
        "_id": f"{brand}/{new.id}",
        "brand": brand,
        "campaign": new.id,
        "kind": new.kind,
        **_terms(new, None),
        "created_at": now,
        "created_by": by,
        "revision": 1,
        "counted_revision": 0,
        "counted_at": None,
        "tally": {},
        "drawn_at": None,
    }
    if new.kind == "giveaway":
        salt, proof = secrets.token_hex(SEED_BYTES), secrets.token_urlsafe(TOKEN_BYTES)
        stored |= {"seed": seed.hex(), "commitment": commitment_of(seed), "salt": salt, "proof": proof}
    document = cast("CampaignDocument", stored)
    if not await Campaigns(database, tenants).add(document):
        raise ProblemError(409, "conflict", f"the brand already has a campaign with the id {new.id!r}")
    return document


async def change(
    database: Database, tenants: Tenants, brand: str, id: str, changes: CampaignChanges, now: datetime
) -> CampaignDocument:
    """Changes the terms of a campaign that has not begun. Raises ProblemError (404, 409, 422)."""
    campaign = await existing(database, tenants, brand, id)
    if campaign["until"] <= now or campaign["starts_at"] <= now:
        raise ProblemError(409, "conflict", "the campaign has begun; people who take part rely on its rules")
    document: Mapping[str, object] = campaign
    stored = {name: document[name] for name in Terms.model_fields}
    try:
        terms = Terms.model_validate(stored | changes.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise wrong_fields(fields_of(error)) from None
    found = [*_kind_problems(terms, campaign["kind"]), *await _problems(database, tenants, brand, terms)]
    if terms.ends_at <= now:
        found.append(FieldProblem(field="ends_at", why="this time is over"))
    if found:
        raise wrong_fields(found)
    after = await Campaigns(database, tenants).change(campaign, _terms(terms, campaign["form"]))
    if after is None:
        raise ProblemError(409, "conflict", "somebody else changed the campaign at the same time; read it again")
    return after


async def end(database: Database, tenants: Tenants, brand: str, id: str, now: datetime) -> CampaignDocument:
    """Ends a campaign now, unless it has ended. Raises ProblemError (404)."""
    await existing(database, tenants, brand, id)
    await Campaigns(database, tenants).end(brand, id, now)
    return await existing(database, tenants, brand, id)


async def existing(database: Database, tenants: Tenants, brand: str, id: str) -> CampaignDocument:
    """A campaign without its secrets. Raises ProblemError (404)."""
    found = await Campaigns(database, tenants).find(brand, id)
    if found is None:
        raise not_found("campaign")
    return found


async def personal_link(database: Database, tenants: Tenants, brand: str, id: str, ref: str, now: datetime) -> str:
    """Creates a follower's link to a survey's form; returns its token. Raises ProblemError (404, 409, 422)."""
    campaign = await existing(database, tenants, brand, id)
    if campaign["form"] is None:
        raise ProblemError(409, "conflict", "this campaign has no form")
    try:
        platform, follower = follower_parts(ref)
    except ValueError as error:
        raise invalid("follower", str(error)) from None
    if await Followers(database, tenants).find(f"{brand}/{platform}/{follower}") is None:
        raise invalid("follower", "there is no such follower")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    await Campaigns(database, tenants).add_link(
        {
            "_id": token,
            "brand": brand,
            "campaign": id,
            "platform": platform,
            "follower": follower,
            "created_at": now,
            "used_at": None,
        }
    )
    return token


def fields_of(error: ValidationError) -> list[FieldProblem]:
    """The problems that pydantic found, by field."""
    return [FieldProblem(field=".".join(str(part) for part in each["loc"]), why=said(each)) for each in error.errors()]


def _form(survey: SurveyInput | None, known: str | None) -> str | None:
    return (known or secrets.token_urlsafe(TOKEN_BYTES)) if survey is not None and survey.form else None


def _terms(terms: Terms, form: str | None) -> CampaignTerms:
    """Terms as stored. `form` is the token of the form that is there already."""
    return {
        "name": terms.name,
        "starts_at": terms.starts_at,
        "ends_at": terms.ends_at,
        "until": terms.ends_at,
        "followed_until": terms.ends_at + FOLLOWED,
        "accounts": list(dict.fromkeys(terms.accounts)),
        "posts": list(dict.fromkeys(terms.posts)),
        "hashtag": words.bare_hashtag(terms.hashtag) if terms.hashtag else None,
        "giveaway": cast("GiveawayTerms", terms.giveaway.model_dump()) if terms.giveaway else None,
        "survey": cast("SurveyTerms", terms.survey.model_dump()) if terms.survey else None,
        "form": _form(terms.survey, form),
    }


async def _problems(database: Database, tenants: Tenants, brand: str, terms: Terms) -> list[FieldProblem]:
    found = list(_time_problems(terms))
    known = {each["_id"] for each in await Accounts(database, tenants).connected(brand)} if terms.accounts else set()
    for number, account in enumerate(terms.accounts):
        if account not in known:
            found.append(_problem(f"accounts.{number}", f"the brand has no account {account!r}"))
    if terms.hashtag is not None and (why := words.hashtag_flaw(terms.hashtag)):
        found.append(_problem("hashtag", why))
    if terms.giveaway is not None:
        found += _giveaway_problems(terms, terms.giveaway)
    if terms.survey is not None:
        found += _survey_problems(terms, terms.survey)
    return found


def _problem(field: str, why: str) -> FieldProblem:
    return FieldProblem(field=field, why=why)


def _kind_problems(terms: Terms, kind: str | None = None) -> Iterator[FieldProblem]:
    wanted = kind or getattr(terms, "kind", "")
    for name in ("giveaway", "survey"):
        if name == wanted and getattr(terms, name) is None:
            yield _problem(name, f"a {name} needs this")
        elif name != wanted and getattr(terms, name) is not None:
            yield _problem(name, f"a {wanted} has none")


def _time_problems(terms: Terms) -> Iterator[FieldProblem]:
    if terms.ends_at <= terms.starts_at:
        yield _problem("ends_at", "the campaign would end before it starts")
    elif terms.ends_at - terms.starts_at > LONGEST:
        yield _problem("ends_at", f"a campaign lasts {LONGEST.days} days at most")


def _giveaway_problems(terms: Terms, giveaway: GiveawayInput) -> Iterator[FieldProblem]:
    if giveaway.winners < 1:
        yield _problem("giveaway.winners", "at least one winner is needed")
    if not giveaway.requirements:
        yield _problem("giveaway.requirements", "an entry needs at least one requirement")
    kinds = [each.kind for each in giveaway.requirements]
    for place, requirement in enumerate(giveaway.requirements):
        field = f"giveaway.requirements.{place}"
        if requirement.kind in kinds[:place]:
            yield _problem(f"{field}.kind", "this is named twice")
        if requirement.word is not None and requirement.kind != "comment":
            yield _problem(f"{field}.word", "only a comment can have a word")
        elif requirement.word is not None and (why := words.flaw(requirement.word, signs=True)):
            yield _problem(f"{field}.word", why)
        if requirement.kind in ("comment", "share") and not terms.posts and terms.hashtag is None:
            yield _problem("posts", f"a {requirement.kind} needs a post or a hashtag")


def _survey_problems(terms: Terms, survey: SurveyInput) -> Iterator[FieldProblem]:
    if not survey.questions:
        yield _problem("survey.questions", "ask at least one question")
    names = [each.id for each in survey.questions]
    elsewhere: list[Option] = []
    for place, question in enumerate(survey.questions):
        field = f"survey.questions.{place}"
        if question.id in names[:place]:
            yield _problem(f"{field}.id", f"there is another question {question.id!r}")
        if not question.options and question.post is None and not survey.form:
            yield _problem(f"{field}.post", "answers in free words need their own post or the form")
        if question.options:
            yield from _option_problems(field, question)
        own = _options(question)
        # Where several questions are asked in one place, a word must say which one it answers.
        shared = question.post is None and (terms.posts or terms.hashtag)
        taken = [word for word in repeated([*elsewhere, *own]) if word not in repeated(own)] if shared else []
        if taken:
            yield _problem(f"{field}.options", f"{_quoted(taken)} would answer another question too")
        elsewhere += own if shared else []


def _option_problems(field: str, question: QuestionInput) -> Iterator[FieldProblem]:
    if len(question.options) == 1:
        yield _problem(f"{field}.options", "offer at least two options")
    names = [each.id for each in question.options]
    if len(set(names)) < len(names):
        yield _problem(f"{field}.options", "two options have the same id")
    for place, option in enumerate(question.options):
        for number, keyword in enumerate(option.keywords):
            if why := words.flaw(keyword, signs=True):
                yield _problem(f"{field}.options.{place}.keywords.{number}", why)
        if why := words.flaw(option.label, signs=True):
            yield _problem(f"{field}.options.{place}.label", why)
    taken = repeated(_options(question))
    if taken:
        yield _problem(f"{field}.options", f"{_quoted(taken)} would choose more than one option")


def _options(question: QuestionInput) -> list[Option]:
    return [
        Option(id=f"{question.id}.{each.id}", label=each.label, keywords=tuple(each.keywords))
        for each in question.options
    ]


def _quoted(some: Sequence[str]) -> str:
    return listed([f"“{word}”" for word in some])
