"""Finds out whose parts of posts have to be counted again."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from pymongo.database import Database

from rapport.domain.mix.posts import BROUGHT
from rapport.kit.mongo import Document
from services.api.mix import brought
from services.api.mix.tallies import SAID, Named
from services.api.projector.upkeep import rebuild_queue
from services.api.projector.upkeep.loop import TaskRun

PARTS_AT_ONCE = 1_000


class Touched:
    """Collects parts that have to be counted again, and counts them once there are many. `flush` counts the rest."""

    def __init__(self, run: TaskRun, brand: str) -> None:
        self._run = run
        self._brand = brand
        self._followers: dict[Named, set[str]] = defaultdict(set)
        self._many = 0

    def add(self, platform: str, post: str, follower: str) -> None:
        """Has a follower's part of a post counted again."""
        some = self._followers[platform, post]
        before = len(some)
        some.add(follower)
        self._many += len(some) - before
        if self._many >= PARTS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Counts the parts that were collected."""
        for (platform, post), followers in sorted(self._followers.items()):
            brought.count(self._run, self._brand, platform, post, followers)
            rebuild_queue.add(self._run, "post", [{"brand": self._brand, "platform": platform, "post": post}])
        self._followers.clear()
        self._many = 0


def about_things(database: Database[Any], brand: str, platform: str, things: Sequence[str], to: Touched) -> None:
    """Has the parts counted again that depend on whether these things were removed.

    A reaction usually has its own id. If it has the id of a comment or a share, it goes with it.
    """
    its: Document = {"brand": brand, "platform": platform, "post": {"$gt": ""}}
    fields = {"_id": 0, "object.id": 1, "post": 1, "follower": 1}
    interactions = database["interactions"]
    said: set[str] = set()
    for kinds in (SAID, ["reaction"]):
        query = {**its, "object.id": {"$in": sorted(said) if said else list(things)}, "kind": {"$in": kinds}}
        for each in interactions.find(query, fields).hint("on_posts"):
            said.add(each["object"]["id"])
            if each.get("follower") is not None:
                to.add(platform, each["post"], each["follower"])
        if not said:
            return


def taken_back(
    database: Database[Any], brand: str, platform: str, pairs: Collection[tuple[str, str]], to: Touched
) -> None:
    """Has the parts counted again from which something was taken back, given as pairs of thing and follower."""
    query: Document = {
        "brand": brand,
        "platform": platform,
        "object.id": {"$in": sorted({thing for thing, _ in pairs})},
        "kind": {"$in": sorted(BROUGHT)},
        "follower": {"$in": sorted({follower for _, follower in pairs})},
        "post": {"$gt": ""},
    }
    fields = {"_id": 0, "object.id": 1, "post": 1, "follower": 1}
    for each in database["interactions"].find(query, fields).hint("on_posts"):
        if (each["object"]["id"], each["follower"]) in pairs:
            to.add(platform, each["post"], each["follower"])
