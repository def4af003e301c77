"""Campaigns as the API gives them and the portal shows them: from what is stored, with the names of the people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from rapport.domain import effect as effects
from rapport.domain.effect import AFTER_DAYS
from rapport.domain.mix import share
from rapport.domain.relationship import STAGES
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api import campaigning, cursors, drawing, shapes
from services.api.campaigning import Database
from services.api.ids import follower_ref
from services.api.problems import invalid
from services.api.repositories.campaigns import Campaigns
from services.api.repositories.followers import Followers
from services.api.repositories.scorings import Scorings
from services.api.repositories.tenants import Tenants
from services.api.schemas.campaigns import (
    After,
    AnswersQuery,
    Campaign,
    CampaignsQuery,
    Draw,
    Effect,
    EntriesQuery,
    Entry,
    Giveaway,
    Group,
    OptionResult,
    QuestionResult,
    ReasonCount,
    Replacement,
    Results,
    StageShare,
    State,
    Survey,
    TextAnswer,
    Winner,
)
from services.api.schemas.common import Page
from services.api.schemas.mix import Estimate
from services.api.schemas.views import FollowerShort, GivenAnswer

LATEST_TEXTS = 5

Who = tuple[str, str]


def proof_path(campaign: Document) -> str:
    """Where everybody finds a giveaway's commitment and proof."""
    return f"/proof/{campaign['proof']}"


def form_path(token: str) -> str:
    """Where a survey's form is."""
    return f"/s/{token}"


def state_of(campaign: Document, now: datetime) -> State:
    """What a campaign is at `now`."""
    if campaign["drawn_at"] is not None:
        return "drawn"
    if campaign["until"] <= now:
        return "ended"
    return "planned" if campaign["starts_at"] > now else "running"


def campaign(document: Document, now: datetime) -> Campaign:
    """A campaign as lists show it."""
    tally = document["tally"]
    giveaway, survey = document["giveaway"], document["survey"]
    copied = ("kind", "name", "starts_at", "ends_at", "accounts", "posts", "hashtag")
    return Campaign(
        id=document["campaign"],
        **{name: document[name] for name in (*copied, "created_at", "created_by", "counted_at")},
        state=state_of(document, now),
        ended_at=document["until"] if document["until"] < document["ends_at"] else None,
        giveaway=giveaway and Giveaway(**giveaway, commitment=document["commitment"], proof=proof_path(document)),
        survey=survey
        and Survey(questions=survey["questions"], form=form_path(document["form"]) if document["form"] else None),
        valid=tally.get("valid", 0) if giveaway else None,
        people=tally.get("people", 0) if survey else None,
    )


async def campaigns(database: Database, tenants: Tenants, query: CampaignsQuery, now: datetime) -> Page[Campaign]:
    """Campaigns, the latest start first. Raises ProblemError (422) for a foreign cursor."""
    found = await Campaigns(database, tenants).page(
        query.state, now, cursors.place("campaigns", query.cursor), query.limit + 1
    )
    shown = found[: query.limit]
    following = _next("campaigns", found, shown, "starts_at")
    return Page(items=[campaign(each, now) for each in shown], next=following)


async def entries(
    database: Database, tenants: Tenants, brand: str, id: str, query: EntriesQuery, now: datetime
) -> Page[Entry]:
    """Entries of a campaign, the latest first. Raises ProblemError (404, 422)."""
    await campaigning.existing(database, tenants, brand, id)
    kind = f"entries-{query.valid}-{query.reason}"
    after = cursors.place(kind, query.cursor)
    found = await Campaigns(database, tenants).entries(brand, id, query.valid, query.reason, after, query.limit + 1)
    shown = found[: query.limit]
    people = await _people(database, tenants, brand, shown, now)
    items = [
        Entry(
            follower=people[each["platform"], each["follower"]],
            **{name: each[name] for name in ("platform", "at", "valid", "reasons", "fulfilled", "duplicates", "hash")},
        )
        for each in shown
    ]
    return Page(items=items, next=_next(kind, found, shown, "at"))


async def draw(database: Database, tenants: Tenants, brand: str, id: str, now: datetime) -> Draw:
    """A giveaway's draw, or what is fixed of it before. Raises ProblemError (404)."""
    its = await drawing.giveaway(database, tenants, brand, id)
    found = await Campaigns(database, tenants).draw(brand, id)
    if found is None:
        nothing: dict[str, Any] = dict.fromkeys(("drawn_at", "by", "seed", "beacon", "entries", "digest"))
        nothing |= {"winners": [], "alternates": [], "replaced": [], "show_winners": False}
        return Draw(commitment=its["commitment"], proof=proof_path(its), **nothing)
    came = [each["alternate"] for each in found["replaced"]]
    hashes = [*found["winners"], *came, *drawing.alternates_left(found)]
    entrants = await Campaigns(database, tenants).entrants(brand, id, hashes)
    people = await _people(database, tenants, brand, entrants.values(), now)
    out = {each["winner"] for each in found["replaced"]}

    def winner(hash: str) -> Winner:
        entry = entrants.get(hash)
        who = people[entry["platform"], entry["follower"]] if entry else None
        return Winner(hash=hash, follower=who, replaced=hash in out)

    return Draw(
        proof=proof_path(its),
        drawn_at=found["at"],
        beacon=found["beacon"] or None,
        **{name: found[name] for name in ("commitment", "by", "seed", "entries", "digest", "show_winners")},
        winners=[winner(each) for each in [*found["winners"], *came]],
        alternates=[winner(each) for each in drawing.alternates_left(found)],
        replaced=[Replacement(**each) for each in found["replaced"]],
    )


async def results(database: Database, tenants: Tenants, brand: str, id: str, now: datetime) -> Results:
    """What a campaign has come to. Raises ProblemError (404)."""
    its = await campaigning.existing(database, tenants, brand, id)
    tally = its["tally"]
    questions = []
    for each in its["survey"]["questions"] if its["survey"] else []:
        texts: Sequence[TextAnswer] = ()
        if not each["options"]:
            latest = await Campaigns(database, tenants).texts(brand, id, each["id"], None, LATEST_TEXTS)
            texts = await _texts(database, tenants, brand, each["id"], latest, now)
        questions.append(_question(each, tally.get("questions", {}).get(each["id"], {}), texts))
    reasons = [ReasonCount(reason=reason, count=count) for reason, count in tally.get("reasons", {}).items() if count]
    return Results(
        campaign=id,
        kind=its["kind"],
        counted_at=its["counted_at"],
        **{name: tally.get(name, 0) for name in ("valid", "refused", "duplicates", "people")},
        reasons=sorted(reasons, key=lambda each: (-each.count, each.reason)),
        questions=questions,
    )


async def answers(
    database: Database, tenants: Tenants, brand: str, id: str, query: AnswersQuery, now: datetime
) -> Page[TextAnswer]:
    """Answers to a question in free words, the latest first. Raises ProblemError (404, 422)."""
    its = await campaigning.existing(database, tenants, brand, id)
    free = [each["id"] for each in (its["survey"] or {"questions": []})["questions"] if not each["options"]]
    question = query.question or next(iter(free), None)
    if question is None:
        return Page(items=[])
    if question not in free:
        raise invalid("question", "this campaign has no such question in free words")
    kind = f"answers-{question}"
    after = cursors.place(kind, query.cursor)
    found = await Campaigns(database, tenants).texts(brand, id, question, after, query.limit + 1)
    shown = found[: query.limit]
    items = await _texts(database, tenants, brand, question, shown, now)
    return Page(items=list(items), next=_next(kind, found, shown, "at"))


async def _texts(
    database: Database,
    tenants: Tenants,
    brand: str,
    question: str,
    documents: Sequence[Document],
    now: datetime,
) -> list[TextAnswer]:
    known = [each for each in documents if each["follower"] is not None]
    people = await _people(database, tenants, brand, known, now)
    return [
        TextAnswer(
            follower=people.get((each["platform"], each["follower"])),
            at=each["answers"][question]["at"],
            text=each["answers"][question]["text"],
        )
        for each in documents
    ]


def _question(question: Document, tally: Mapping[str, Any], texts: Sequence[TextAnswer]) -> QuestionResult:
    options = {each["id"]: tally.get("options", {}).get(each["id"], 0) for each in question["options"]}
    total = sum(options.values()) if options else tally.get("texts", 0)
    return QuestionResult(
        id=question["id"],
        text=question["text"],
        answers=total,
        by={name: count for name, count in sorted(tally.get("by", {}).items()) if count},
        options=[
            OptionResult(
                id=each["id"], label=each["label"], count=options[each["id"]], share=_share(options[each["id"]], total)
            )
            for each in question["options"]
        ],
        texts=list(texts),
    )


async def effect(database: Database, tenants: Tenants, brand: str, id: str) -> Effect:
    """What became of the relationships that a campaign started. Raises ProblemError (404)."""
    await campaigning.existing(database, tenants, brand, id)
    repository = Campaigns(database, tenants)
    own = [each for each in await repository.weeks(brand, id) if each["followers"]]
    weeks = [each["week"] for each in own]
    others = [each for each in await repository.all_of_weeks(brand, weeks) if each["campaign"] != id]
    return Effect(campaign=id, weeks=weeks, campaign_started=_group(own), otherwise=_group(others))


def _group(weeks: Sequence[Document]) -> Group:
    started = sum(each["followers"] for each in weeks)
    after = []
    for days in AFTER_DAYS:
        counts = {
            stage: sum(each.get("after", {}).get(str(days), {}).get(stage, 0) for each in weeks) for stage in STAGES
        }
        told = sum(counts.values())
        reached = {stage: effects.at_least(counts, stage) for stage in STAGES[1:]}
        after.append(
            After(
                days=days,
                followers=told,
                young=started - told,
                stages=[
                    StageShare.model_validate({"stage": stage, "count": count, "share": _share(count, told)})
                    for stage, count in reached.items()
                ],
            )
        )
    return Group(started=started, after=after)


async def given(database: Database, tenants: Tenants, brand: str, platform: str, follower: str) -> list[GivenAnswer]:
    """What a follower answered in surveys, the latest first."""
    repository = Campaigns(database, tenants)
    documents = [each for each in await repository.answers_of(brand, platform, follower) if each["answers"]]
    if not documents:
        return []
    surveys = await repository.named(brand, {each["campaign"] for each in documents})
    found = []
    for document in documents:
        its = surveys[document["campaign"]]
        for question in its["survey"]["questions"]:
            answer = document["answers"].get(question["id"])
            if answer is not None:
                labels = {each["id"]: each["label"] for each in question["options"]}
                said = labels[answer["option"]] if answer.get("option") else answer["text"]
                found.append(
                    GivenAnswer(
                        campaign=its["campaign"],
                        name=its["name"],
                        question=question["text"],
                        answer=said,
                        at=answer["at"],
                        by=answer["by"],
                    )
                )
    return sorted(found, key=lambda each: (each.at, each.campaign, each.question), reverse=True)


async def _people(
    database: Database, tenants: Tenants, brand: str, documents: Iterable[Document], now: datetime
) -> dict[Who, FollowerShort]:
    """Who these entries or answers are of, as they are called now."""
    wanted = {(each["platform"], each["follower"]) for each in documents}
    found = await Followers(database, tenants).some(f"{brand}/{platform}/{its_id}" for platform, its_id in wanted)
    numbers = await Scorings(database).of(found.values())
    people = {}
    for platform, its_id in wanted:
        known = found.get(f"{brand}/{platform}/{its_id}")
        people[platform, its_id] = FollowerShort(
            id=follower_ref(platform, its_id),
            platform_id=its_id,
            handle=known["handle"] if known else None,
            name=known["name"] if known else None,
            stage=shapes.stage_of(known, numbers, now),
        )
    return people


def _share(part: int, whole: int) -> Estimate | None:
    found = share(part, whole)
    return Estimate.model_validate(msgspec.to_builtins(found)) if found else None


def _next(kind: str, found: Sequence[Document], shown: Sequence[Document], field: str) -> str | None:
    return cursors.encode(kind, ms(shown[-1][field]), shown[-1]["_id"]) if len(found) > len(shown) else None
