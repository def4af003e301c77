"""Facts written to the views as the projector writes them, and the upkeep run on them by hand."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from rapport.contracts.events import Actor, Interaction, Object, Parent
from rapport.contracts.rows import FollowerRow
from rapport.kit.mongo import Document
from services.api.followers.documents import follower_document
from services.api.interactions.documents import interaction_document
from services.api.mix import upkeep as mix
from services.api.new_relationships import upkeep as new_relationships
from services.api.projector import hourly
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import samples

DERIVED = ("posts", "beginnings", "new_days")
SUMS = ("post_parts", "post_sums")
"""What `posts` is summed up in."""


def write(views: Database[Document], *events: Interaction | FollowerRow) -> None:
    """Writes a batch, and counts its hours again."""
    batch = Batch()
    for event in events:
        if isinstance(event, Interaction):
            document = interaction_document(event)
            batch.interactions[document["_id"]] = document
        else:
            follower = follower_document(event, 1)
            batch.followers[follower["_id"]] = follower
    assert writing.write(views, batch) == {}
    hourly.recount_parts(views, batch.parts)


def upkeep(views: Database[Document], now: datetime | None = None) -> None:
    """One turn of each task."""
    run = TaskRun(views, None, now or datetime.now(UTC))
    new_relationships.follow(run)
    mix.follow(run)


def turns(views: Database[Document]) -> None:
    """So many turns, and so far apart, that everything was looked at twice."""
    for turn in range(4):
        upkeep(views, datetime.now(UTC) + turn * (LATER + timedelta(seconds=1)))


def settled(views: Database[Document]) -> dict[str, list[Document]]:
    """What the tasks come to when nothing happens any more."""
    turns(views)
    assert views["stale"].count_documents({"what": {"$ne": "match"}}) == 0
    return {name: list(views[name].find().sort("_id")) for name in DERIVED}


def post(id: str, brand: str, at: datetime, text: str = "Good morning", **more: Any) -> Interaction:
    """A post of the brand with the object id `at://<id>`."""
    fields = {"actor": Actor(id="brand-person", name="Grace"), "text": text, "thread": f"at://{id}", **more}
    return samples.interaction(id, brand, at, kind="post", **fields)


def on(post: str, id: str, brand: str, at: datetime, who: str = "did:plc:ada", **more: Any) -> Interaction:
    """What somebody does with the post `at://<post>`; a comment unless `kind` says otherwise."""
    fields = {
        "actor": Actor(id=who, name=who[-3:].title()),
        "post": f"at://{post}",
        "parent": Parent(id=f"at://{post}"),
        **more,
    }
    return samples.interaction(id, brand, at, **fields)


def about(thing: str, id: str, brand: str, at: datetime, who: str = "did:plc:ada", **more: Any) -> Interaction:
    """What happens to the thing `at://<thing>` later; names nothing else."""
    fields = {"actor": Actor(id=who), "object": Object(id=f"at://{thing}"), "text": None, **more}
    return samples.interaction(id, brand, at, **fields)


def outreach(id: str, brand: str, at: datetime, to: str, **more: Any) -> Interaction:
    """What somebody of the staff does to `to` of their own accord."""
    fields = {
        "kind": "reaction",
        "actor": Actor(id="did:plc:staff", name="Grace"),
        "parent": Parent(id=f"at://of-{to}", actor=to),
        "staff": True,
        "text": None,
        **more,
    }
    return samples.interaction(id, brand, at, **fields)


def followers(brand: str, firsts: Iterable[tuple[str, datetime]]) -> list[FollowerRow]:
    """Followers, first and last seen then."""
    return [samples.follower(who, brand, at, name=who[-3:].title()) for who, at in firsts]


def lately(brand: str) -> list[Interaction | FollowerRow]:
    """Some days of a brand: posts of every kind with what they brought, newcomers, and outreach."""
    now = datetime.now(UTC).replace(microsecond=0)
    told: list[Interaction | FollowerRow] = []
    for number in range(12):
        at = now - timedelta(days=number, hours=1)
        media = (("image",), ("video",), (), ("link",))[number % 4]
        told.append(
            post(f"lately-{number}", brand, at, ("New in the shop", "Our team at work #team")[number % 2], media=media)
        )
        for each in range((number + 3) % 5):
            who = f"did:plc:new-{number}-{each}"
            kind = ("comment", "reaction", "share")[each % 3]
            did = at + timedelta(minutes=10 * each + 5)
            text = "Lovely, when do you open?" if kind == "comment" else None
            told.append(on(f"lately-{number}", f"{kind}-{number}-{each}", brand, did, who, kind=kind, text=text))
            told.append(samples.follower(who, brand, did, name=f"Newcomer {number}-{each}"))
    told.append(about("reaction-1-1", "taken-back", brand, now, "did:plc:new-1-1", kind="reaction", undo=True))
    told.append(about("comment-4-0", "deleted", brand, now, "did:plc:new-4-0", kind="delete"))
    for number, kind in enumerate(("reaction", "follow", "comment")):
        at = now - timedelta(hours=number + 2)
        told.append(outreach(f"reached-{number}", brand, at, f"did:plc:{number + 1}", kind=kind))
    return told
