"""Judges followers' entries and answers from the stored facts, and keeps each campaign's tally with them.

A document and what it adds to the tally change in one transaction, which conflicts with the campaign's draw. So the
tally is exact, and nothing changes once a draw has seen it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from pymongo import DeleteOne, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from rapport.domain.campaigns import draw, giveaway, survey
from rapport.domain.campaigns.campaign import CHANGES, CampaignFact, Change
from rapport.domain.campaigns.giveaway import Known
from rapport.kit.mongo import Document, in_transaction
from rapport.kit.parts import parts
from services.api.campaigns.documents import (
    AnswersDocument,
    CampaignDocument,
    EntryDocument,
    answers_document,
    answers_of,
    difference,
    questions_of,
    rules_of,
    scope_of,
)
from services.api.interactions.documents import said
from services.api.projector.upkeep.isolation import isolate_each
from services.api.projector.upkeep.loop import TaskRun

FOLLOWERS_AT_ONCE = 200
"""Followers that are judged with the same queries and written in one transaction."""
OBJECTS_AT_ONCE = 1_000
EARLY = timedelta(days=7)
"""What is done within a week before the start is refused as too early. What is older is not mentioned."""
MOST_OBJECTS = 1_000
"""Per follower. If somebody has more, only their own next interaction has them judged again."""
FACT = dict.fromkeys(
    (
        *("interaction", "kind", "object", "platform", "follower", "account", "occurred_at"),
        *("post", "text", "heard", "reaction", "campaign", "undo", "staff", "actor.bot"),
    ),
    1,
)
"""The fields of a stored interaction that a fact is made of."""

Who = tuple[str, str]
"""A follower: platform, and id there."""
Judged = TypeVar("Judged", EntryDocument, AnswersDocument)


def fact_of(document: Mapping[str, Any]) -> CampaignFact:
    """A stored interaction as a fact."""
    return CampaignFact(
        at=document["occurred_at"],
        id=document["interaction"],
        kind=document["kind"],
        object=document["object"]["id"],
        platform=document["platform"],
        follower=document["follower"],
        account=document["account"],
        post=document.get("post"),
        text=said(document),
        reaction=document.get("reaction"),
        campaign=document.get("campaign"),
        undo=document.get("undo", False),
        bot=document["actor"].get("bot", False),
        staff=document.get("staff", False),
    )


def entry_id(campaign: str, who: Who) -> str:
    """The `_id` of a follower's entry or answers in a campaign (by its `_id`)."""
    return f"{campaign}/{who[0]}/{who[1]}"


def judge(run: TaskRun, campaign: CampaignDocument, followers: Iterable[Who]) -> None:
    """Judges these followers and writes what changed."""
    of_platform: dict[str, list[str]] = defaultdict(list)
    for platform, follower in sorted(followers):
        of_platform[platform].append(follower)
    make = _entries if campaign["kind"] == "giveaway" else _answers
    for platform, some in of_platform.items():
        for start in range(0, len(some), FOLLOWERS_AT_ONCE):
            these = some[start : start + FOLLOWERS_AT_ONCE]
            isolate_each("campaigns", these, partial(make, run, campaign, platform))


def start_over(database: Database[Any], campaign: CampaignDocument) -> None:
    """Removes what was judged by earlier terms of a campaign, which changed before it began."""

    def forget(session: ClientSession) -> None:
        found = database["campaigns"].update_one(
            {"_id": campaign["_id"], "revision": campaign["revision"]},
            {
                "$set": {
                    "counted_revision": campaign["revision"],
                    **({"tally": {}} if campaign["counted_revision"] else {}),
                }
            },
            session=session,
        )
        if found.matched_count and campaign["counted_revision"]:
            its = {"brand": campaign["brand"], "campaign": campaign["campaign"], "valid": {"$in": [True, False]}}
            database["campaign_entries"].delete_many(its, session=session, hint="listed")

    in_transaction(database, forget)


def forget(database: Database[Any], brand: str, platform: str, follower: str) -> None:
    """Removes a person's entries and answers, and takes them off the tallies."""
    its = {"brand": brand, "platform": platform, "follower": follower}

    def remove(session: ClientSession) -> None:
        for collection in ("campaign_entries", "survey_answers"):
            for each in database[collection].find(its, session=session).hint("follower").to_list():
                database["campaigns"].update_one(
                    {"_id": f"{brand}/{each['campaign']}"}, {"$inc": difference(each, None)}, session=session
                )
                database[collection].delete_one({"_id": each["_id"]}, session=session)
        database["survey_links"].delete_many(its, session=session)

    in_transaction(database, remove)


def sought(database: Database[Any], brand: str) -> tuple[set[str], set[str]]:
    """The words and the hashtags that a brand's campaigns look for in texts."""
    words: set[str] = set()
    hashtags: set[str] = set()
    for campaign in database["campaigns"].find({"brand": brand}).hint("listed"):
        if campaign["hashtag"]:
            hashtags.add(campaign["hashtag"])
        if campaign["kind"] == "giveaway":
            words.update(each.word for each in rules_of(campaign).requirements if each.word)
        elif campaign["survey"]:
            words.update(
                word for question in questions_of(campaign) for each in question.options for word in each.words
            )
    return words, hashtags


def forget_texts(database: Database[Any], brand: str, platform: str, texts: Mapping[str, Mapping[str, str]]) -> None:
    """Replaces answers in free words by what stands in for them: `texts` gives that by object and text.

    Also in campaigns that nobody judges any more. The answer stays counted, and is what judging would make of it.
    """
    answers: Collection[AnswersDocument] = database["survey_answers"]
    writes: list[UpdateOne] = []
    for objects in parts(sorted(texts), OBJECTS_AT_ONCE):
        query = {"brand": brand, "platform": platform, "objects": {"$in": objects}}
        for each in answers.find(query).hint("objects"):
            instead = {text: left for thing in each["objects"] for text, left in texts.get(thing, {}).items()}
            for question, answer in each["answers"].items():
                held = answer.get("text")
                if answer["by"] != "form" and held is not None and (left := _instead(held, instead)) is not None:
                    field = f"answers.{question}.text"
                    writes.append(UpdateOne({"_id": each["_id"], field: held}, {"$set": {field: left}}))
    if writes:
        answers.bulk_write(writes, ordered=False)


def _instead(held: str, texts: Mapping[str, str]) -> str | None:
    return next((left for text, left in texts.items() if text.strip()[: survey.LONGEST_ANSWER] == held), None)


def _entries(run: TaskRun, campaign: CampaignDocument, platform: str, followers: Sequence[str]) -> None:
    found = entries(run.database, campaign, platform, followers, run.now)
    stored: Collection[EntryDocument] = run.database["campaign_entries"]
    _write(run.database, campaign, stored, list(found), lambda name, _before: found[name])


def entries(
    database: Database[Any], campaign: CampaignDocument, platform: str, followers: Sequence[str], now: datetime
) -> dict[str, EntryDocument | None]:
    """The entries of these followers by id, from the stored facts. None for somebody without one."""
    scope, rules, salt = scope_of(campaign), rules_of(campaign), bytes.fromhex(campaign["salt"])
    facts = _facts(database, campaign, platform, followers, giveaway.ACTS)
    changes = _changes(database, campaign, platform, facts)
    known = _known(database, campaign["brand"], platform, followers)
    found: dict[str, EntryDocument | None] = {entry_id(campaign["_id"], (platform, each)): None for each in followers}
    for entry in giveaway.entries(scope, rules, facts, changes, known, now):
        name = entry_id(campaign["_id"], (platform, entry.follower))
        found[name] = {
            "_id": name,
            "brand": campaign["brand"],
            "campaign": campaign["campaign"],
            "platform": platform,
            "follower": entry.follower,
            "at": entry.at,
            "duplicates": entry.duplicates,
            "hash": draw.hash_of(salt, platform, entry.follower),
            "valid": not entry.reasons,
            # Lists, as MongoDB returns them: tuples would never equal what is stored.
            "reasons": list(entry.reasons),
            "fulfilled": [
                {"requirement": each.requirement, "interaction": each.interaction, "at": each.at}
                for each in entry.fulfilled
            ],
            "objects": list(entry.objects[:MOST_OBJECTS]),
        }
    return found


def _answers(run: TaskRun, campaign: CampaignDocument, platform: str, followers: Sequence[str]) -> None:
    names = [entry_id(campaign["_id"], (platform, each)) for each in followers]
    stored: Collection[AnswersDocument] = run.database["survey_answers"]
    _write(
        run.database,
        campaign,
        stored,
        names,
        answers(run.database, campaign, platform, followers, run.now),
    )


def answers(
    database: Database[Any], campaign: CampaignDocument, platform: str, followers: Sequence[str], now: datetime
) -> Callable[[str, AnswersDocument | None], AnswersDocument | None]:
    """Gives the answers of one of these followers, by id and what is stored, from the facts and the form."""
    scope, questions = scope_of(campaign), questions_of(campaign)
    facts = _facts(database, campaign, platform, followers, survey.ACTS)
    changes = _changes(database, campaign, platform, facts)
    of_follower: dict[str, list[CampaignFact]] = defaultdict(list)
    for fact in facts:
        of_follower[fact.follower].append(fact)
    about: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        about[change.object].append(change)
    names = {entry_id(campaign["_id"], (platform, each)): each for each in followers}

    def made(id: str, before: AnswersDocument | None) -> AnswersDocument | None:
        its = of_follower[names[id]]
        form = before["form"] if before else None
        its_changes = [each for thing in {fact.object for fact in its} for each in about[thing]]
        found = survey.answered(scope, questions, its, its_changes, answers_of(form or {}), now)
        if not found.answers and not found.objects:
            return None
        objects = found.objects[:MOST_OBJECTS]
        return answers_document(campaign, id, (platform, names[id]), found.answers, objects, form)

    return made


def _write(
    database: Database[Any],
    campaign: CampaignDocument,
    collection: Collection[Judged],
    ids: Sequence[str],
    make: Callable[[str, Judged | None], Judged | None],
) -> None:
    """Makes each of these documents from the stored one, and updates the tally with them."""

    def write(session: ClientSession) -> None:
        stored = {each["_id"]: each for each in collection.find({"_id": {"$in": ids}}, session=session)}
        writes: list[ReplaceOne[Judged] | DeleteOne] = []
        total: dict[str, int] = defaultdict(int)
        for id in ids:  # noqa: A001
            before = stored.get(id)
            after = make(id, before)
            if after == before:
                continue
            writes.append(ReplaceOne({"_id": id}, after, upsert=True) if after else DeleteOne({"_id": id}))
            for name, value in difference(before, after).items():
                total[name] += value
        if not writes:
            return
        # Conflicts with a draw, which sees all of this or none of it.
        found = database["campaigns"].update_one(
            {"_id": campaign["_id"], "revision": campaign["revision"], "drawn_at": None},
            {"$inc": dict(total)},
            session=session,
        )
        if found.matched_count:
            collection.bulk_write(writes, ordered=False, session=session)

    in_transaction(database, write)


def _facts(
    database: Database[Any], campaign: CampaignDocument, platform: str, followers: Sequence[str], kinds: Iterable[str]
) -> list[CampaignFact]:
    """What these followers did around the time of a campaign, the undoing of it, and whom they follow."""
    its: Document = {"brand": campaign["brand"], "platform": platform}
    some: Document = {**its, "follower": {"$in": list(followers)}}
    around = {"$gte": campaign["starts_at"] - EARLY, "$lte": campaign["followed_until"]}
    query = {**some, "occurred_at": around, "kind": {"$in": sorted(kinds)}, "undo": {"$ne": True}}
    interactions = database["interactions"]
    found = [fact_of(each) for each in interactions.find(query, FACT).hint("timeline")]
    for objects in parts(sorted({each.object for each in found}), OBJECTS_AT_ONCE):
        undone = interactions.find({**its, "object.id": {"$in": objects}, "undo": True}, FACT).hint("undone")
        found += [fact_of(each) for each in undone if each.get("follower") is not None]
    if campaign["kind"] == "giveaway":
        found = [each for each in found if each.kind != "follow"]
        for kind, index in (("follow", "follows"), ("block", "blocks")):
            told = interactions.find({**some, "kind": kind, "occurred_at": {"$lte": campaign["until"]}}, FACT)
            found += [fact_of(each) for each in told.hint(index)]
    return found


def _changes(
    database: Database[Any], campaign: CampaignDocument, platform: str, facts: Iterable[CampaignFact]
) -> list[Change]:
    """What became of the things that were done."""
    found = []
    wanted = dict.fromkeys(("interaction", "kind", "about", "occurred_at", "text", "heard"), 1)
    for objects in parts(sorted({each.object for each in facts}), OBJECTS_AT_ONCE):
        query = {"brand": campaign["brand"], "platform": platform, "about": {"$in": objects}}
        for each in database["interactions"].find({**query, "kind": {"$in": sorted(CHANGES)}}, wanted).hint("about"):
            found.append(
                Change(
                    at=each["occurred_at"],
                    id=each["interaction"],
                    kind=each["kind"],
                    object=each["about"],
                    platform=platform,
                    text=said(each),
                )
            )
    return found


def _known(database: Database[Any], brand: str, platform: str, followers: Sequence[str]) -> dict[Who, Known]:
    ids = [f"{brand}/{platform}/{each}" for each in followers]
    found = database["followers"].find({"_id": {"$in": ids}}, {"follower": 1, "first_seen": 1, "bot": 1})
    return {(platform, each["follower"]): Known(each["first_seen"], each["bot"]) for each in found}
