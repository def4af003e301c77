"""Judges from the stored facts who belongs to a community, and writes members, events and counts together."""

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from pymongo import DeleteOne, InsertOne, ReturnDocument, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as Stored
from pymongo.database import Database

from rapport.contracts.codec import NewerError
from rapport.contracts.events import SPOKEN
from rapport.domain.communities.community import CommunityRule, matches, until
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document, in_transaction
from rapport.kit.parts import parts
from services.api.communities.documents import (
    Because,
    CheckDocument,
    CommunityDocument,
    EventDocument,
    MemberDocument,
    rule_of,
)
from services.api.communities.facts import (
    CHANGED,
    FOLLOWER,
    LATEST,
    SAID,
    Asked,
    RuledFollower,
    Utterance,
    Who,
    asked,
    facts_of,
    people,
    texts_of,
    who,
    wrote_much,
)
from services.api.projector.upkeep.loop import TaskRun
from services.api.scoring import repository as scorings

CHANGES_AT_ONCE = 500
"""Joins and leaves in one transaction."""
OBJECTS_AT_ONCE = 1_000

Verdicts: TypeAlias = Mapping[tuple[Who, str], bool]
"""Whether a follower belongs to a community, by its id."""


def sought(database: Database[Any], brand: str) -> frozenset[str]:
    """The words that the rules of a brand's communities look for, also of those that can be brought back."""
    found = []
    for collection in ("communities", "removed_communities"):
        for each in database[collection].find({"brand": brand}, {"rule": 1}):
            with contextlib.suppress(NewerError):  # whoever can read the rule judges by it
                found.append(rule_of(each))
    return asked(found).words


def _members(database: Database[Any]) -> Stored[MemberDocument]:
    return database["community_members"]


def _events(database: Database[Any]) -> Stored[EventDocument]:
    return database["community_events"]


def judge(
    run: TaskRun,
    brand: str,
    communities: Sequence[CommunityDocument],
    ids: Collection[str],
    because: Because,
    *,
    alone: bool = False,
) -> None:
    """Updates which of these communities followers (by `_id`) belong to, and when to judge them again.

    With `alone` only some of the brand's communities are given; others may need to judge them earlier.
    """
    if not ids or not communities:
        return
    rows, persons = _people(run.database, brand, ids)
    for each in sorted(set(ids) - rows.keys()):
        _, platform, follower = each.split("/", 2)
        forget(run.database, brand, platform, follower, run.now)
    rules = {each["community"]: rule_of(each) for each in communities}
    verdicts, checks = _verdicts(run.database, brand, rules, rows, persons, run.now)
    causes: dict[str, Because] = {
        each["community"]: because if each["checked_revision"] == each["revision"] else "rule changed"
        for each in communities
    }
    # Nobody joins or leaves by a rule that changed meanwhile.
    guards = {each["community"]: {"_id": each["_id"], "revision": each["revision"]} for each in communities}
    _write_changes(run.database, brand, guards, verdicts, causes, run.now)
    _note_checks(run.database, brand, checks, alone=alone)


def belonging(
    database: Database[Any], brand: str, communities: Sequence[CommunityDocument], ids: Collection[str], now: datetime
) -> Verdicts:
    """Which of these communities each of these followers (by `_id`), and the rest of their persons, belong to."""
    rows, persons = _people(database, brand, ids)
    rules = {each["community"]: rule_of(each) for each in communities}
    return _verdicts(database, brand, rules, rows, persons, now)[0]


def forget(database: Database[Any], brand: str, platform: str, follower: str, now: datetime) -> None:
    """Takes a person out of every community. Events still say that somebody joined and left, but not who.

    Call it once the follower's row is gone: a follower with a row is judged, and may join again.
    """
    its = {"brand": brand, "platform": platform, "follower": follower}
    memberships = _members(database).find(its, {"community": 1}).hint("follower")
    guards: dict[str, Document] = {each["community"]: {"_id": f"{brand}/{each['community']}"} for each in memberships}
    out = {((platform, follower), name): False for name in guards}
    _write_changes(database, brand, guards, out, dict.fromkeys(guards, "erased"), now)
    _events(database).update_many(its, {"$set": {"platform": None, "follower": None}}, hint="follower")
    database["community_checks"].delete_one({"_id": f"{brand}/{platform}/{follower}"})


def _people(
    database: Database[Any], brand: str, ids: Collection[str]
) -> tuple[dict[str, RuledFollower], list[list[RuledFollower]]]:
    """These followers and the rest of their persons, by `_id` and by person."""
    stored: Stored[RuledFollower] = database["followers"]
    rows = stored.find({"_id": {"$in": list(ids)}}, FOLLOWER).to_list()
    linked = sorted({each["person"] for each in rows if each["person"] is not None})
    query = {"brand": brand, "person": {"$in": linked}}
    others = stored.find(query, FOLLOWER).hint("person").to_list() if linked else []
    return {each["_id"]: each for each in (*rows, *others)}, people(rows, others)


def _verdicts(
    database: Database[Any],
    brand: str,
    rules: Mapping[str, CommunityRule],
    rows: Mapping[str, RuledFollower],
    persons: Sequence[Sequence[RuledFollower]],
    at: datetime,
) -> tuple[dict[tuple[Who, str], bool], dict[str, datetime | None]]:
    """Who of these belongs where, and when to judge each again."""
    wants = asked(rules.values())
    texts, entries = _texts(database, brand, rows, wants), _entries(database, brand, rows, wants)
    numbers = scorings.known(database, {each["scoring"] for each in rows.values()})
    verdicts = {(who(each), name): False for each in rows.values() for name in rules}
    checks: dict[str, datetime | None] = dict.fromkeys(rows)
    now = ms(at)
    for person in persons:
        first = person[0]
        facts = facts_of(person, numbers[first["scoring"]], texts, entries)
        turns: list[int] = []
        for name, rule in rules.items():
            verdicts[who(first), name] = matches(rule, facts, now)
            turn = until(rule, facts, now)
            if turn is not None:
                turns.append(turn)
        checks[first["_id"]] = utc(min(turns)) if turns else None
    return verdicts, checks


def _texts(
    database: Database[Any], brand: str, rows: Mapping[str, RuledFollower], wants: Asked
) -> dict[Who, list[str]]:
    """What each of these followers wrote, if a rule asks for words."""
    found: dict[Who, list[str]] = {}
    if not wants.words:
        return found
    for platform, followers in _by_platform(rows.values()).items():
        its: Document = {"brand": brand, "platform": platform}
        spoken = {**its, "kind": {"$in": sorted(SPOKEN)}}
        interactions: Stored[Utterance] = database["interactions"]
        few = [each["follower"] for each in followers if not wrote_much(each)]
        said = interactions.find({**spoken, "follower": {"$in": few}}, SAID).hint("timeline").to_list()
        for each in followers:
            if wrote_much(each):
                latest = interactions.find({**spoken, "follower": each["follower"]}, SAID).sort("occurred_at", -1)
                said += latest.hint("timeline").limit(LATEST).to_list()
        changes: list[Utterance] = []
        for things in parts(sorted({each["object"]["id"] for each in said}), OBJECTS_AT_ONCE):
            changed = {**its, "about": {"$in": things}, "kind": {"$in": list(CHANGED)}}
            changes += interactions.find(changed, SAID).hint("about")
            undone = {**spoken, "object.id": {"$in": things}, "undo": True}
            changes += interactions.find(undone, SAID).hint("undone")
        found |= {(platform, follower): texts for follower, texts in texts_of(said, changes).items()}
    return found


def _entries(
    database: Database[Any], brand: str, rows: Mapping[str, RuledFollower], wants: Asked
) -> dict[Who, set[str]]:
    """Which of the campaigns that rules ask for each of these followers entered or answered."""
    found: dict[Who, set[str]] = defaultdict(set)
    if not wants.campaigns:
        return found
    for platform, followers in _by_platform(rows.values()).items():
        ids = [each["follower"] for each in followers]
        query = {"brand": brand, "platform": platform, "follower": {"$in": ids}}
        for collection in ("campaign_entries", "survey_answers"):
            fields = dict.fromkeys(("platform", "follower", "campaign"), 1)
            for each in database[collection].find(query, fields).hint("follower"):
                found[who(each)].add(each["campaign"])
    return found


def _by_platform(rows: Iterable[RuledFollower]) -> dict[str, list[RuledFollower]]:
    found: dict[str, list[RuledFollower]] = defaultdict(list)
    for each in rows:
        found[each["platform"]].append(each)
    return found


def _write_changes(
    database: Database[Any],
    brand: str,
    guards: Mapping[str, Document],
    verdicts: Verdicts,
    causes: Mapping[str, Because],
    now: datetime,
) -> None:
    """Adds members who belong and removes those who do not, each with an event.

    A community that its guard no longer finds is left alone.
    """
    there: set[tuple[Who, str]] = set()
    of_platform: dict[str, set[str]] = defaultdict(set)
    for (platform, follower), _ in verdicts:
        of_platform[platform].add(follower)
    for platform, followers in of_platform.items():
        query = {"brand": brand, "platform": platform, "follower": {"$in": sorted(followers)}}
        found = _members(database).find({**query, "community": {"$in": sorted(guards)}}).hint("follower")
        there |= {(who(each), each["community"]) for each in found}
    changes = [key for key, belongs in verdicts.items() if belongs != (key in there)]
    for some in parts(sorted(changes), CHANGES_AT_ONCE):

        def write(session: ClientSession, some: Sequence[tuple[Who, str]] = some) -> None:
            _write(database, brand, guards, {key: verdicts[key] for key in some}, causes, now, session)

        in_transaction(database, write)


def _write(
    database: Database[Any],
    brand: str,
    guards: Mapping[str, Document],
    changes: Verdicts,
    causes: Mapping[str, Because],
    now: datetime,
    session: ClientSession,
) -> None:
    ids = {key: f"{brand}/{key[1]}/{key[0][0]}/{key[0][1]}" for key in changes}
    members = _members(database)
    there = {each["_id"] for each in members.find({"_id": {"$in": list(ids.values())}}, {"_id": 1}, session=session)}
    of_community: dict[str, list[tuple[Who, bool]]] = defaultdict(list)
    for (one, name), joins in changes.items():
        if joins != (ids[one, name] in there):
            of_community[name].append((one, joins))
    for name, some in of_community.items():
        net = sum(1 if joins else -1 for _, joins in some)
        communities: Stored[CommunityDocument] = database["communities"]
        community = communities.find_one_and_update(
            guards[name],
            {"$inc": {"members": net, "events": len(some)}},
            projection={"events": 1},
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if community is None:
            continue
        writes: list[InsertOne[MemberDocument] | DeleteOne] = []
        events: list[EventDocument] = []
        for number, ((platform, follower), joins) in enumerate(some, community["events"] - len(some) + 1):
            member: MemberDocument = {
                "_id": ids[(platform, follower), name],
                "brand": brand,
                "community": name,
                "platform": platform,
                "follower": follower,
                "since": now,
            }
            writes.append(InsertOne(member) if joins else DeleteOne({"_id": member["_id"]}))
            events.append(
                {
                    "_id": f"{community['_id']}/{number}",
                    "brand": brand,
                    "community": name,
                    "platform": platform,
                    "follower": follower,
                    "number": number,
                    "what": "joined" if joins else "left",
                    "at": now,
                    "because": causes[name],
                }
            )
        members.bulk_write(writes, ordered=False, session=session)
        _events(database).insert_many(events, ordered=False, session=session)


def _note_checks(database: Database[Any], brand: str, checks: Mapping[str, datetime | None], *, alone: bool) -> None:
    writes: list[UpdateOne | DeleteOne] = []
    for id, at in checks.items():  # noqa: A001
        if at is not None:
            how = "$min" if alone else "$set"
            writes.append(UpdateOne({"_id": id}, {"$setOnInsert": {"brand": brand}, how: {"at": at}}, upsert=True))
        elif not alone:
            writes.append(DeleteOne({"_id": id}))
    if writes:
        stored: Stored[CheckDocument] = database["community_checks"]
        stored.bulk_write(writes, ordered=False)
