"""Who belongs to which community, kept as followers, time and rules change.

A community: `_id` (`<brand>/<id>`), `brand`, `community` (its id), `name`, `description`, `rule` (JSON) and its `text`,
`revision` of the rule, `checked_revision` (that everybody was judged by) and `checked_after` (how far a pass through
all followers is), `members` and `events` (how many), `removed_at`, and who made it when. A member: `_id` (the
community's and the follower's), `brand`, `community`, `platform`, `follower`, `since`. An event: `_id` and `number`
(they rise), `brand`, `community`, `platform`, `follower` (both null of an erased person), `what` (`joined` or `left`),
`at`, `because`. A check: `_id` (the follower's), `brand`, `at` (when time alone makes somebody join or leave).

Whoever changed is judged again from the stored facts, so nothing depends on the order in which these came. A member,
its event and the number of members change in one transaction: joins less leaves are the members at any time.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta

from pymongo import DeleteOne

from rapport.contracts.codec import NewerError
from rapport.contracts.events import SPOKEN
from rapport.domain.policy import says
from rapport.kit.mongo import Document
from rapport.kit.parts import parts
from services.api.community_facts import CHANGED, Who, asked, rule_of
from services.api.upkeep import stale
from services.api.upkeep.community_judging import Because, judge
from services.api.upkeep.loop import Desk, Task
from services.api.upkeep.sparing import spared, sparing
from services.api.upkeep.trail import Trail, begin_here, follow_arrivals

AT_ONCE = 500
"""So many followers are judged at once."""
REMOVED_AT_ONCE = 5_000
TURN_SECONDS = 2.0
"""After so long, what changed, what is due and what is passed through each make way for the next."""
HEARING_SECONDS = 10.0
"""What was written is looked through once a minute, for so long."""
HEARD = dict.fromkeys(("platform", "follower", "kind", "text", "undo"), 1)
STALE = "communities"
_SWEEP = "communities-erased"


def follow(desk: Desk) -> None:
    """Judges whoever changed, whose time has come, and everybody by a rule that changed; forgets who is gone."""
    deadline = time.monotonic() + TURN_SECONDS
    of_brand: dict[str, list[Document]] = defaultdict(list)
    for each in desk.database["communities"].find({"_id": {"$gt": ""}}):
        desk.keep()
        if each["removed_at"] is not None:
            with sparing("communities", each["_id"]):
                _remove(desk, each)
            continue
        with sparing("communities", each["_id"]):
            rule_of(each)  # one that cannot be read leaves the brand's others alone
            of_brand[each["brand"]].append(each)
    for brand, communities in of_brand.items():
        with sparing("communities", brand):
            _follow_changes(desk, brand, communities, deadline)
    _take_marked(desk, of_brand)
    _take_due(desk, of_brand)
    _pass(desk, (each for communities in of_brand.values() for each in communities))
    _sweep(desk, of_brand)


def hear(desk: Desk) -> None:
    """Judges again who wrote a word that a rule asks for, and whose writing was edited, deleted or taken back.

    What somebody wrote can be stored long after it was counted, and an edit is not counted at all.
    """
    of_brand: dict[str, list[Document]] = defaultdict(list)
    for each in desk.database["communities"].find({"_id": {"$gt": ""}, "removed_at": None}):
        with sparing("communities-words", each["_id"]):
            if asked([rule_of(each)]).words:
                of_brand[each["brand"]].append(each)
    deadline = time.monotonic() + HEARING_SECONDS
    for brand in desk.brands():
        if brand in of_brand:
            with sparing("communities-words", brand):
                _hear_brand(desk, brand, of_brand[brand], deadline)
    # Left by an earlier version. `arrivals` has put what they are about among what arrived.
    desk.database["stale"].delete_many({"what": "communities-hour"})


def _hear_brand(desk: Desk, brand: str, communities: Sequence[Document], deadline: float) -> None:
    _start_here(desk, "communities-heard", brand, "interactions", "arrived")
    words = asked(map(rule_of, communities)).words

    def listen(arrived: Sequence[Document]) -> None:
        for some in parts(sorted(_heard(brand, arrived, words)), AT_ONCE):
            desk.keep()
            _judge(desk, brand, communities, some, "follower changed", alone=True)

    follow_arrivals(desk, "communities-heard", brand, HEARD, listen, task="communities-words", deadline=deadline)


def _judge(
    desk: Desk,
    brand: str,
    communities: Sequence[Document],
    ids: Sequence[str],
    because: Because,
    *,
    alone: bool = False,
) -> None:
    """Judges all of them at once; those who cannot be judged are left out."""
    spared("communities", ids, lambda some: judge(desk, brand, communities, some, because, alone=alone))


def _heard(brand: str, arrived: Iterable[Document], words: Collection[str]) -> set[str]:
    return {
        f"{brand}/{each['platform']}/{each['follower']}"
        for each in arrived
        if each.get("follower") is not None
        and (
            each["kind"] in CHANGED
            or (each["kind"] in SPOKEN and (each.get("undo") or says(each.get("text") or "", words)))
        )
    }


def entered(desk: Desk, brand: str, campaigns: Iterable[str], followers: Collection[Who]) -> None:
    """Has these followers judged again, where a rule asks for one of the campaigns that they entered or left."""
    wanted = set(campaigns)
    communities = desk.database["communities"].find({"brand": brand, "removed_at": None}, {"rule": 1})
    if any(_asks_for(each, wanted) for each in communities):
        stale.mark(
            desk, STALE, ({"brand": brand, "platform": platform, "follower": each} for platform, each in followers)
        )


def _asks_for(community: Document, campaigns: set[str]) -> bool:
    """Whether a rule asks for one of the campaigns; one that only a later version can read may do so."""
    try:
        return bool(asked([rule_of(community)]).campaigns & campaigns)
    except NewerError:
        return True


def _start_here(desk: Desk, task: str, brand: str, collection: str, field: str) -> None:
    """What changed before a brand's first community needs no following: a pass goes through all followers."""
    if desk.database["trails"].find_one({"_id": f"{task}/{brand}"}, {"_id": 1}) is None:
        begin_here(desk, task, brand, collection, field)


def _follow_changes(desk: Desk, brand: str, communities: Sequence[Document], deadline: float) -> None:
    _start_here(desk, "communities", brand, "followers", "written_at")
    more = True
    while more:
        changes = Trail(desk, "communities", brand, "followers", "written_at")
        for some in parts((each["_id"] for each in changes.changed({"_id": 1})), AT_ONCE):
            _judge(desk, brand, communities, some, "follower changed")
        changes.done()
        more = changes.more and time.monotonic() < deadline


def _take_marked(desk: Desk, of_brand: Mapping[str, Sequence[Document]]) -> None:
    """Those who entered a campaign, or left it."""
    found = desk.database["stale"].find({"what": STALE}).sort("since").limit(AT_ONCE).to_list()
    for brand, some in _by_brand(found).items():
        ids = [f"{brand}/{each['platform']}/{each['follower']}" for each in some]
        _judge(desk, brand, of_brand.get(brand, ()), ids, "follower changed")
    if found:
        # Marked again meanwhile, one stays.
        done = [DeleteOne({"_id": each["_id"], "marks": each["marks"]}) for each in found]
        desk.database["stale"].bulk_write(done, ordered=False)


def _take_due(desk: Desk, of_brand: Mapping[str, Sequence[Document]]) -> None:
    """Those whom time alone makes join or leave."""
    deadline = time.monotonic() + TURN_SECONDS
    checks = desk.database["community_checks"]
    while found := checks.find({"at": {"$lte": desk.now}}).sort("at").limit(AT_ONCE).to_list():
        desk.keep()
        for brand, some in _by_brand(found).items():
            ids = [each["_id"] for each in some]
            if brand in of_brand:
                _judge(desk, brand, of_brand[brand], ids, "time")
            # Who is judged gets a new time; whoever could not be has none, and holds up nobody.
            checks.delete_many({"_id": {"$in": ids}, "at": {"$lte": desk.now}})
        if time.monotonic() > deadline:
            return


def _by_brand(documents: Iterable[Document]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = defaultdict(list)
    for each in documents:
        found[each["brand"]].append(each)
    return found


def _pass(desk: Desk, communities: Iterable[Document]) -> None:
    """Goes through all followers of a brand for each community whose rule is another one by now, a part each turn."""
    deadline = time.monotonic() + TURN_SECONDS
    waiting = [each for each in communities if each["checked_revision"] != each["revision"]]
    while waiting and time.monotonic() < deadline:
        waiting = [each for each in waiting if not _pass_on(desk, each)]


def _pass_on(desk: Desk, community: Document) -> bool:
    """Judges the next followers; says whether these were the last."""
    desk.keep()
    brand = community["brand"]
    # `0` is the character behind `/`.
    span = {"$gt": community["checked_after"] or f"{brand}/", "$lt": f"{brand}0"}
    followers = desk.database["followers"].find({"_id": span}, {"_id": 1}).sort("_id").limit(AT_ONCE)
    ids = [each["_id"] for each in followers]
    _judge(desk, brand, [community], ids, "rule changed", alone=True)
    through = len(ids) < AT_ONCE
    noted = {"checked_after": "", "checked_revision": community["revision"]} if through else {"checked_after": ids[-1]}
    its = {"_id": community["_id"], "revision": community["revision"]}
    desk.database["communities"].update_one(its, {"$set": noted})
    community |= noted
    return through


def _sweep(desk: Desk, of_brand: Mapping[str, Sequence[Document]]) -> None:
    """Looks through some members in turn for those whose follower is gone."""
    place = desk.database["trails"].find_one({"_id": _SWEEP}) or {"fresh": ""}
    fields = dict.fromkeys(("brand", "platform", "follower"), 1)
    members = desk.database["community_members"].find({"_id": {"$gt": place["fresh"]}}, fields).sort("_id")
    swept = members.limit(AT_ONCE).to_list()
    ids = {f"{each['brand']}/{each['platform']}/{each['follower']}": each for each in swept}
    there = {each["_id"] for each in desk.database["followers"].find({"_id": {"$in": list(ids)}}, {"_id": 1})}
    for id, each in ids.items():  # noqa: A001
        if id not in there:
            _judge(desk, each["brand"], of_brand.get(each["brand"], ()), [id], "erased")
    reached = swept[-1]["_id"] if len(swept) == AT_ONCE else ""
    if reached != place["fresh"]:
        desk.database["trails"].update_one({"_id": _SWEEP}, {"$set": {"fresh": reached}}, upsert=True)


def _remove(desk: Desk, community: Document) -> None:
    """Removes what there is of a community that was deleted, a part each turn, and it itself at last."""
    its = {"brand": community["brand"], "community": community["community"]}
    left = False
    for collection in ("community_members", "community_events"):
        held = desk.database[collection].find(its, {"_id": 1}).hint("listed").limit(REMOVED_AT_ONCE)
        ids = [each["_id"] for each in held]
        desk.database[collection].delete_many({"_id": {"$in": ids}})
        left = left or len(ids) == REMOVED_AT_ONCE
    if not left:
        desk.database["communities"].delete_one({"_id": community["_id"], "removed_at": {"$ne": None}})


TASK = Task("communities", timedelta(seconds=5), follow)
WORDS = Task("communities-words", timedelta(minutes=1), hear)
