"""Keeps who belongs to which community, as followers, time and rules change.

Whoever changed is judged again from the stored facts, so the order in which these came does not matter. A member, its
event and the number of members change in one transaction: joins less leaves are the members at any time.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from pymongo.collection import Collection as Stored

from rapport.contracts.codec import NewerError
from rapport.contracts.events import SPOKEN
from rapport.domain.policies.policy import says
from rapport.kit.parts import parts
from services.api.communities.documents import Because, CheckDocument, CommunityDocument, MemberDocument, rule_of
from services.api.communities.facts import CHANGED, Who, asked
from services.api.communities.judging import judge
from services.api.interactions.documents import said
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.change_feed import ARRIVALS, FOLLOWERS, follow_changes, start_here
from services.api.projector.upkeep.isolation import isolate_each, isolated
from services.api.projector.upkeep.loop import Task, TaskRun

AT_ONCE = 500
"""Followers that are judged at once."""
REMOVED_AT_ONCE = 5_000
TURN_SECONDS = 2.0
"""How long each step of a run may take."""
WORDS_SECONDS = 10.0
"""How long new texts are searched, once a minute."""
WRITTEN = dict.fromkeys(("platform", "follower", "kind", "text", "heard", "undo"), 1)
STALE = "communities"
_SWEEP = "communities-erased"


Grouped = TypeVar("Grouped", CheckDocument, dict[str, Any])


def _communities(run: TaskRun) -> Stored[CommunityDocument]:
    return run.database["communities"]


def follow(run: TaskRun) -> None:
    """Judges followers who changed or are due, and everybody by a changed rule. Removes those who are gone."""
    deadline = time.monotonic() + TURN_SECONDS
    of_brand: dict[str, list[CommunityDocument]] = defaultdict(list)
    for each in _communities(run).find({"_id": {"$gt": ""}}):
        run.renew_lease()
        if each["removed_at"] is not None:
            with isolated("communities", each["_id"]):
                _remove(run, each)
            continue
        with isolated("communities", each["_id"]):
            rule_of(each)  # a rule that cannot be read must not stop the brand's others
            of_brand[each["brand"]].append(each)
    for brand, communities in of_brand.items():
        with isolated("communities", brand):
            _follow_changes(run, brand, communities, deadline)
    _take_marked(run, of_brand)
    _take_due(run, of_brand)
    _pass(run, (each for communities in of_brand.values() for each in communities))
    _sweep(run, of_brand)


def follow_words(run: TaskRun) -> None:
    """Judges people again who wrote a word that a rule asks for, or whose texts were edited, deleted or taken back.

    A text can be stored long after it was counted, and an edit is not counted at all.
    """
    of_brand: dict[str, list[CommunityDocument]] = defaultdict(list)
    for each in _communities(run).find({"_id": {"$gt": ""}, "removed_at": None}):
        with isolated("communities-words", each["_id"]):
            if asked([rule_of(each)]).words:
                of_brand[each["brand"]].append(each)
    deadline = time.monotonic() + WORDS_SECONDS
    for brand in run.brands():
        if brand in of_brand:
            with isolated("communities-words", brand):
                _follow_words_of(run, brand, of_brand[brand], deadline)
    # Left by an earlier version. `arrivals` has put what they are about among what arrived.
    run.database["stale"].delete_many({"what": "communities-hour"})


def _follow_words_of(run: TaskRun, brand: str, communities: Sequence[CommunityDocument], deadline: float) -> None:
    _start_here(run, "communities-heard", brand, *ARRIVALS)
    words = asked(map(rule_of, communities)).words

    def take(arrived: Sequence[Mapping[str, Any]]) -> None:
        for some in parts(sorted(_writers(brand, arrived, words)), AT_ONCE):
            run.renew_lease()
            _judge(run, brand, communities, some, "follower changed", alone=True)

    follow_changes(
        run, ARRIVALS, "communities-heard", brand, WRITTEN, take, task="communities-words", deadline=deadline
    )


def _judge(
    run: TaskRun,
    brand: str,
    communities: Sequence[CommunityDocument],
    ids: Sequence[str],
    because: Because,
    *,
    alone: bool = False,
) -> None:
    """Judges all of them together. Those who cannot be judged are left out."""
    isolate_each("communities", ids, lambda some: judge(run, brand, communities, some, because, alone=alone))


def _writers(brand: str, arrived: Iterable[Mapping[str, Any]], words: Collection[str]) -> set[str]:
    return {
        f"{brand}/{each['platform']}/{each['follower']}"
        for each in arrived
        if each.get("follower") is not None
        and (
            each["kind"] in CHANGED or (each["kind"] in SPOKEN and (each.get("undo") or says(said(each) or "", words)))
        )
    }


def entered(run: TaskRun, brand: str, campaigns: Iterable[str], followers: Collection[Who]) -> None:
    """Has these followers judged again if a rule asks for one of the campaigns that they entered or left."""
    wanted = set(campaigns)
    communities = _communities(run).find({"brand": brand, "removed_at": None}, {"rule": 1})
    if any(_asks_for(each, wanted) for each in communities):
        rebuild_queue.add(
            run, STALE, ({"brand": brand, "platform": platform, "follower": each} for platform, each in followers)
        )


def _asks_for(community: CommunityDocument, campaigns: set[str]) -> bool:
    """Whether a rule asks for one of the campaigns. A rule that only a later version can read may do so."""
    try:
        return bool(asked([rule_of(community)]).campaigns & campaigns)
    except NewerError:
        return True


def _start_here(run: TaskRun, task: str, brand: str, collection: str, field: str) -> None:
    """Changes before a brand's first community do not matter: a pass goes through all followers."""
    if run.database["trails"].find_one({"_id": f"{task}/{brand}"}, {"_id": 1}) is None:
        start_here(run, task, brand, collection, field)


def _follow_changes(run: TaskRun, brand: str, communities: Sequence[CommunityDocument], deadline: float) -> None:
    _start_here(run, "communities", brand, *FOLLOWERS)

    def take(followers: Sequence[Mapping[str, Any]]) -> None:
        for some in parts((each["_id"] for each in followers), AT_ONCE):
            _judge(run, brand, communities, some, "follower changed")

    follow_changes(run, FOLLOWERS, "communities", brand, {"_id": 1}, take, task="communities", deadline=deadline)


def _take_marked(run: TaskRun, of_brand: Mapping[str, Sequence[CommunityDocument]]) -> None:
    """Judges those who entered a campaign, or left it."""

    def take(marked: list[Any]) -> None:
        for brand, some in _by_brand(marked).items():
            ids = [f"{brand}/{each['platform']}/{each['follower']}" for each in some]
            _judge(run, brand, of_brand.get(brand, ()), ids, "follower changed")

    rebuild_queue.work_off_together(run, STALE, take, AT_ONCE)


def _take_due(run: TaskRun, of_brand: Mapping[str, Sequence[CommunityDocument]]) -> None:
    """Judges those whom time alone makes join or leave."""
    deadline = time.monotonic() + TURN_SECONDS
    checks: Stored[CheckDocument] = run.database["community_checks"]
    while found := checks.find({"at": {"$lte": run.now}}).sort("at").limit(AT_ONCE).to_list():
        run.renew_lease()
        for brand, some in _by_brand(found).items():
            ids = [each["_id"] for each in some]
            if brand in of_brand:
                _judge(run, brand, of_brand[brand], ids, "time")
            # Who is judged gets a new time; whoever could not be has none, and holds up nobody.
            checks.delete_many({"_id": {"$in": ids}, "at": {"$lte": run.now}})
        if time.monotonic() > deadline:
            return


def _by_brand(documents: Iterable[Grouped]) -> dict[str, list[Grouped]]:
    found: dict[str, list[Grouped]] = defaultdict(list)
    for each in documents:
        found[each["brand"]].append(each)
    return found


def _pass(run: TaskRun, communities: Iterable[CommunityDocument]) -> None:
    """Goes through all followers of a brand for each community whose rule is another one by now, a part each turn."""
    deadline = time.monotonic() + TURN_SECONDS
    waiting = [each for each in communities if each["checked_revision"] != each["revision"]]
    while waiting and time.monotonic() < deadline:
        waiting = [each for each in waiting if not _pass_on(run, each)]


def _pass_on(run: TaskRun, community: CommunityDocument) -> bool:
    """Judges the next followers; says whether these were the last."""
    run.renew_lease()
    brand = community["brand"]
    # `0` is the character behind `/`.
    span = {"$gt": community["checked_after"] or f"{brand}/", "$lt": f"{brand}0"}
    followers = run.database["followers"].find({"_id": span}, {"_id": 1}).sort("_id").limit(AT_ONCE)
    ids = [each["_id"] for each in followers]
    _judge(run, brand, [community], ids, "rule changed", alone=True)
    through = len(ids) < AT_ONCE
    community["checked_after"] = "" if through else ids[-1]
    if through:
        community["checked_revision"] = community["revision"]
    checked = {name: community[name] for name in ("checked_after", "checked_revision")}
    its = {"_id": community["_id"], "revision": community["revision"]}
    _communities(run).update_one(its, {"$set": checked})
    return through


def _sweep(run: TaskRun, of_brand: Mapping[str, Sequence[CommunityDocument]]) -> None:
    """Checks some members each run, and takes out those whose follower is gone."""
    place = run.database["trails"].find_one({"_id": _SWEEP}) or {"fresh": ""}
    fields = dict.fromkeys(("brand", "platform", "follower"), 1)
    stored: Stored[MemberDocument] = run.database["community_members"]
    members = stored.find({"_id": {"$gt": place["fresh"]}}, fields).sort("_id")
    swept = members.limit(AT_ONCE).to_list()
    ids = {f"{each['brand']}/{each['platform']}/{each['follower']}": each for each in swept}
    there = {each["_id"] for each in run.database["followers"].find({"_id": {"$in": list(ids)}}, {"_id": 1})}
    for id, each in ids.items():  # noqa: A001
        if id not in there:
            _judge(run, each["brand"], of_brand.get(each["brand"], ()), [id], "erased")
    reached = swept[-1]["_id"] if len(swept) == AT_ONCE else ""
    if reached != place["fresh"]:
        run.database["trails"].update_one({"_id": _SWEEP}, {"$set": {"fresh": reached}}, upsert=True)


def _remove(run: TaskRun, community: CommunityDocument) -> None:
    """Removes the members and events of a deleted community, some each run, and finally the community."""
    its = {"brand": community["brand"], "community": community["community"]}
    more = False
    for collection in ("community_members", "community_events"):
        held = run.database[collection].find(its, {"_id": 1}).hint("listed").limit(REMOVED_AT_ONCE)
        ids = [each["_id"] for each in held]
        run.database[collection].delete_many({"_id": {"$in": ids}})
        more = more or len(ids) == REMOVED_AT_ONCE
    if not more:
        run.database["communities"].delete_one({"_id": community["_id"], "removed_at": {"$ne": None}})


TASK = Task("communities", timedelta(seconds=5), follow)
WORDS = Task("communities-words", timedelta(minutes=1), follow_words)
