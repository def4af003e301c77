"""Campaigns as the API and the portal show them, with people's current names."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from rapport.domain.campaigns import effect as effects
from rapport.domain.campaigns.effect import AFTER_DAYS
from rapport.domain.mix.labels import share
from rapport.domain.relationships.relationship import STAGES
from rapport.domain.retention import shown_text
from services.api.campaigns import changes, draws
from services.api.campaigns.documents import (
    AnswersDocument,
    CampaignDocument,
    EntryDocument,
    GiveawayDocument,
    QuestionTally,
    QuestionTerms,
)
from services.api.campaigns.repository import Campaigns
from services.api.campaigns.schemas import (
    AfterBeginning,
    AnswersQuery,
    Campaign,
    CampaignsQuery,
    Draw,
    Effect,
    EntriesQuery,
    Entry,
    Group,
    OptionResult,
    QuestionResult,
    ReasonCount,
    Replacement,
    Results,
    StageShare,
    State,
    TextAnswer,
    Winner,
)
from services.api.followers.repository import Followers
from services.api.followers.schemas import FollowerShort
from services.api.followers.service import stage_of
from services.api.http import paging
from services.api.http.ids import follower_ref
from services.api.http.problems import invalid
from services.api.http.schemas import Page
from services.api.mix.schemas import Estimate
from services.api.new_relationships.documents import StageWeekDocument
from services.api.scoring.repository import Scorings
from services.api.storage.tenants import Database, Tenants

LATEST_TEXTS = 5

Who = tuple[str, str]


def proof_path(token: str) -> str:
    """Where everybody finds a giveaway's commitment and proof."""
    return f"/proof/{token}"


def form_path(token: str) -> str:
    """Where a survey's form is."""
    return f"/s/{token}"


def state_of(campaign: CampaignDocument | GiveawayDocument, now: datetime) -> State:
    """A campaign's state at `now`."""
    if campaign["drawn_at"] is not None:
        return "drawn"
    if campaign["until"] <= now:
        return "ended"
    return "planned" if campaign["starts_at"] > now else "running"


def shown(document: CampaignDocument | GiveawayDocument, now: datetime) -> Campaign:
    """A campaign as lists show it."""
    tally = document["tally"]
    giveaway, survey = document["giveaway"], document["survey"]
    public: dict[str, Any] = {"giveaway": None, "survey": None}
    if giveaway is not None:
        proof = proof_path(document["proof"])
        public["giveaway"] = {**giveaway, "commitment": document["commitment"], "proof": proof}
    if survey is not None:
        public["survey"] = {**survey, "form": form_path(document["form"]) if document["form"] else None}
    return Campaign.model_validate(
        {
            **document,
            **public,
            "id": document["campaign"],
            "state": state_of(document, now),
            "ended_at": document["until"] if document["until"] < document["ends_at"] else None,
            "valid": tally.get("valid", 0) if giveaway else None,
            "people": tally.get("people", 0) if survey else None,
        }
    )


async def listed(database: Database, tenants: Tenants, query: CampaignsQuery, now: datetime) -> Page[Campaign]:
    """Campaigns, the latest start first. Raises ProblemError (422) for a foreign cursor."""
    after = paging.position("campaigns", query.cursor)
    rows = await Campaigns(database, tenants).page(query.state, now, after, paging.rows_to_read(query.limit))
    some, following = paging.page(
        rows, query.limit, lambda row: paging.cursor_after("campaigns", row["starts_at"], row["_id"])
    )
    return Page(items=[shown(each, now) for each in some], next=following)


async def entries(
    database: Database, tenants: Tenants, brand: str, id: str, query: EntriesQuery, now: datetime
) -> Page[Entry]:
    """Entries of a campaign, the latest first. Raises ProblemError (404, 422)."""
    await changes.existing(database, tenants, brand, id)
    kind = f"entries-{query.valid}-{query.reason}"
    after = paging.position(kind, query.cursor)
    rows = await Campaigns(database, tenants).entries(
        brand, id, query.valid, query.reason, after, paging.rows_to_read(query.limit)
    )
    some, following = paging.page(rows, query.limit, lambda row: paging.cursor_after(kind, row["at"], row["_id"]))
    people = await _people(database, tenants, brand, map(_whose, some), now)
    items = [Entry.model_validate({**each, "follower": people[_whose(each)]}) for each in some]
    return Page(items=items, next=following)


def _whose(entry: EntryDocument) -> Who:
    return entry["platform"], entry["follower"]


async def draw(database: Database, tenants: Tenants, brand: str, id: str, now: datetime) -> Draw:
    """A giveaway's draw, or what is fixed of it before. Raises ProblemError (404)."""
    its = await draws.giveaway(database, tenants, brand, id)
    found = await Campaigns(database, tenants).draw(brand, id)
    if found is None:
        nothing: dict[str, Any] = dict.fromkeys(("drawn_at", "by", "seed", "beacon", "entries", "digest"))
        nothing |= {"winners": [], "alternates": [], "replaced": [], "show_winners": False}
        return Draw(commitment=its["commitment"], proof=proof_path(its["proof"]), **nothing)
    came = [each["alternate"] for each in found["replaced"]]
    hashes = [*found["winners"], *came, *draws.alternates_left(found)]
    entrants = await Campaigns(database, tenants).entrants(brand, id, hashes)
    people = await _people(database, tenants, brand, map(_whose, entrants.values()), now)
    out = {each["winner"] for each in found["replaced"]}

    def winner(hash: str) -> Winner:
        entry = entrants.get(hash)
        who = people[_whose(entry)] if entry else None
        return Winner(hash=hash, follower=who, replaced=hash in out)

    return Draw(
        commitment=found["commitment"],
        proof=proof_path(its["proof"]),
        drawn_at=found["at"],
        by=found["by"],
        seed=found["seed"],
        beacon=found["beacon"] or None,
        entries=found["entries"],
        digest=found["digest"],
        show_winners=found["show_winners"],
        winners=[winner(each) for each in [*found["winners"], *came]],
        alternates=[winner(each) for each in draws.alternates_left(found)],
        replaced=[Replacement(**each) for each in found["replaced"]],
    )


async def results(database: Database, tenants: Tenants, brand: str, id: str, now: datetime) -> Results:
    """What a campaign has come to. Raises ProblemError (404)."""
    its = await changes.existing(database, tenants, brand, id)
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
        valid=tally.get("valid", 0),
        refused=tally.get("refused", 0),
        duplicates=tally.get("duplicates", 0),
        people=tally.get("people", 0),
        reasons=sorted(reasons, key=lambda each: (-each.count, each.reason)),
        questions=questions,
    )


async def answers(
    database: Database, tenants: Tenants, brand: str, id: str, query: AnswersQuery, now: datetime
) -> Page[TextAnswer]:
    """Answers to a question in free words, the latest first. Raises ProblemError (404, 422)."""
    its = await changes.existing(database, tenants, brand, id)
    free = [each["id"] for each in (its["survey"]["questions"] if its["survey"] else ()) if not each["options"]]
    question = query.question or next(iter(free), None)
    if question is None:
        return Page(items=[])
    if question not in free:
        raise invalid("question", "this campaign has no such question in free words")
    kind = f"answers-{question}"
    after = paging.position(kind, query.cursor)
    rows = await Campaigns(database, tenants).texts(brand, id, question, after, paging.rows_to_read(query.limit))
    some, following = paging.page(
        # Whoever answered something did so at some time.
        rows,
        query.limit,
        lambda row: paging.cursor_after(kind, cast("datetime", row["at"]), row["_id"]),
    )
    return Page(items=await _texts(database, tenants, brand, question, some, now), next=following)


async def _texts(
    database: Database,
    tenants: Tenants,
    brand: str,
    question: str,
    documents: Sequence[AnswersDocument],
    now: datetime,
) -> list[TextAnswer]:
    known = [who for each in documents if (who := _answerer(each)) is not None]
    people = await _people(database, tenants, brand, known, now)
    return [
        TextAnswer(
            follower=people[who] if (who := _answerer(each)) is not None else None,
            at=each["answers"][question]["at"],
            text=shown_text(each["answers"][question]["text"], each["platform"]),
        )
        for each in documents
    ]


def _answerer(answers: AnswersDocument) -> Who | None:
    platform, follower = answers["platform"], answers["follower"]
    return (platform, follower) if platform is not None and follower is not None else None


def _question(question: QuestionTerms, tally: QuestionTally, texts: Sequence[TextAnswer]) -> QuestionResult:
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
    await changes.existing(database, tenants, brand, id)
    repository = Campaigns(database, tenants)
    own = [each for each in await repository.weeks(brand, id) if each["followers"]]
    weeks = [each["week"] for each in own]
    others = [each for each in await repository.all_of_weeks(brand, weeks) if each["campaign"] != id]
    return Effect(campaign=id, weeks=weeks, campaign_started=_group(own), otherwise=_group(others))


def _group(weeks: Sequence[StageWeekDocument]) -> Group:
    started = sum(each["followers"] for each in weeks)
    after = []
    for days in AFTER_DAYS:
        counts = {
            stage: sum(each.get("after", {}).get(str(days), {}).get(stage, 0) for each in weeks) for stage in STAGES
        }
        told = sum(counts.values())
        reached = {stage: effects.at_least(counts, stage) for stage in STAGES[1:]}
        after.append(
            AfterBeginning(
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


async def _people(
    database: Database, tenants: Tenants, brand: str, followers: Iterable[Who], now: datetime
) -> dict[Who, FollowerShort]:
    """These followers with their current names."""
    wanted = set(followers)
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
            stage=stage_of(known, numbers, now),
        )
    return people


def _share(part: int, whole: int) -> Estimate | None:
    found = share(part, whole)
    return Estimate.model_validate(msgspec.to_builtins(found)) if found else None
