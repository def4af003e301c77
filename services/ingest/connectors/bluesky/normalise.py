"""Turns a change on Bluesky into an interaction with one brand's account. Pure.

- A post whose parent or root is by the brand is a `comment`, also where it answers another follower: it stands in the
  brand's thread. If it mentions the brand as well, it is still one comment.
- A post that mentions the brand elsewhere is a `mention`. A quote of the brand's post is a `share`, because it speaks
  to the follower's own public; one that mentions the brand is a `mention`.
- The brand's own post is a `reply` where its parent is by someone else, or where it continues such a reply, its own or
  its staff's; any other is a `post`, self-threads included.
- What somebody of the staff answers to what was said to the brand, or to anybody in its thread, is a `reply`.
- What the brand's account itself likes, shares or follows of others is recorded as the staff's. It is outreach, and
  nobody's interaction with the brand. What staff like from their own accounts is their own affair.
- A person whom the brand blocks is told of as the one who does it, as on every platform: a block concerns the follower.
- A conversation is the pair of the brand and a follower, a thread the root's at-uri. One of a brand's accounts may
  answer what was said to another, so the brand goes by the one that has been connected for longest. What was noted
  under another pair, because that was another one then, stays there, and so does what answers it.
- A delete names only the path; the rest comes from what the ledger noted when the record was first seen.
- A record that is sent again with all of its author's (`Change.again`) was written when its author says, not now. It
  has the id that it had, so what is known of it already counts once. What is older than ids are known tells nothing.
- A record without a time that can be read was written when the network saw it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeAlias

from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import SPOKEN, Account, Actor, Interaction, Kind, Object, Parent
from rapport.domain.exchanges.addressing import Occurred, occurred, occurred_live
from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.frames import BLOCK, FOLLOW, LIKE, POST, REPOST, Change, Fate
from services.ingest.connectors.bluesky.records import Post, Record, Reference
from services.ingest.connectors.seen import Seen

_KINDS: dict[str, Kind] = {LIKE: "reaction", REPOST: "share", FOLLOW: "follow", BLOCK: "block"}
KNOWN_FOR = timedelta(days=89)
"""How long ago something that is sent again may have been written: its id is known, and counts once, for 90 days."""
_TOGGLES = frozenset(_KINDS.values())
_OUTREACH = _TOGGLES - {"block"}


@dataclass(frozen=True)
class Watched:
    """A brand's account that a stream is read for. `own` are the DIDs of all accounts of the brand, `first` that of the
    one that has been connected for longest; none where it is this one.
    """

    brand: str
    account: Account
    did: str
    own: frozenset[str]
    first: str = ""

    def pair(self, follower: str) -> str:
        """The conversation with a follower. It stays the same when the brand connects another account."""
        return f"{self.first or self.did}:{follower}"

    def pairs(self, follower: str) -> frozenset[str]:
        """What the conversation with a follower may have been called, whichever accounts the brand had."""
        return frozenset(f"{name}:{follower}" for name in self.own)


Everybodys: TypeAlias = Callable[[str], Iterable[Seen]]
"""What was noted of an at-uri, for whichever account."""


def written(
    record: Record,
    watched: Watched,
    find: Callable[[str], Seen | None],
    observed_at: datetime,
    everybodys: Everybodys = lambda _: (),
) -> tuple[Interaction, Seen] | None:
    """The interaction of a created or updated record with an account, and what to note of it. None where it is none.

    `find` gives what was noted of an at-uri for this account. An update of what was never seen counts as new.
    """
    change = record.change
    if change.did != watched.did and change.did in watched.own:
        return None  # another account of the brand is not a follower
    seen, before = _classified(record, watched, find, everybodys), find(change.uri)
    if seen is None:
        if before is None or change.operation != "update":
            return None
        seen = before  # edited until nothing in it names the brand any more
    if before is not None:
        seen = replace(seen, conversation=before.conversation)
    edited = change.operation == "update" and before is not None and before.rev != change.rev
    if edited and change.collection != POST:
        return None  # a like with another time is the same like
    post, claimed = record.post, record.claimed_at
    if change.again and (claimed is None or change.at - claimed > KNOWN_FOR):
        return None
    if edited:
        time = occurred(change.at, "platform", observed_at)
    else:
        time = _written_at(claimed, change, watched, observed_at)
    interaction = Interaction(
        id=f"{change.uri}#edit-{change.rev}" if edited else f"{change.uri}#{change.cid}",
        brand=watched.brand,
        platform=PLATFORM,
        account=watched.account.id,
        kind="edit" if edited else seen.kind,
        actor=_actor(seen, change, watched),
        object=Object(change.uri, Reference.to(change.uri).url),
        conversation=seen.conversation,
        thread=seen.thread,
        post=seen.post,
        parent=_parent(seen, record, watched),
        occurred_at=time.at,
        occurred_at_source=time.source,
        claimed_at=claimed if claimed is not None and claimed != time.at and not edited else None,
        clamped=time.clamped,
        observed_at=observed_at,
        text=post.text if post else None,
        media=post.media if post else (),
        language=post.language if post else None,
        reaction="like" if seen.kind == "reaction" else None,
        staff=_is_outreach(seen, change, watched),
    )
    return interaction, before if edited and before else seen


def deleted(change: Change, seen: Seen, watched: Watched, observed_at: datetime) -> Interaction:
    """The interaction of a deleted record that was noted before: an undoing of a toggle, a `delete` of words."""
    time = occurred(change.at, "platform", observed_at)
    undo = seen.kind in _TOGGLES
    return Interaction(
        id=f"{change.uri}#delete-{change.rev}",
        brand=watched.brand,
        platform=PLATFORM,
        account=watched.account.id,
        kind=seen.kind if undo else "delete",
        undo=undo,
        actor=_actor(seen, change, watched),
        object=Object(change.uri, Reference.to(change.uri).url),
        conversation=seen.conversation,
        thread=seen.thread,
        post=seen.post,
        parent=Parent(seen.parent, seen.follower) if seen.parent and _is_outreach(seen, change, watched) else None,
        reaction="like" if seen.kind == "reaction" else None,
        occurred_at=time.at,
        occurred_at_source=time.source,
        clamped=time.clamped,
        observed_at=observed_at,
        staff=_is_outreach(seen, change, watched),
    )


def away(brand: str, fate: Fate) -> FollowerAway:
    """What became of the account of one of a brand's followers."""
    return FollowerAway(
        id=f"{fate.did}#{fate.how}-{fate.at.isoformat()}",
        brand=brand,
        platform=PLATFORM,
        follower=fate.did,
        at=fate.at,
        how=fate.how,
    )


def _written_at(claimed: datetime | None, change: Change, watched: Watched, observed_at: datetime) -> Occurred:
    """When a record was written. What is not live, or came before the account was connected, has its author's time."""
    if claimed is None:
        return occurred(change.at, "platform", observed_at)
    if change.again or change.at < watched.account.connected_at:
        return occurred(claimed, "author", observed_at)
    return occurred_live(claimed, change.at, observed_at)


def _is_outreach(seen: Seen, change: Change, watched: Watched) -> bool:
    return change.did == watched.did and seen.kind in _OUTREACH


def _classified(
    record: Record, watched: Watched, find: Callable[[str], Seen | None], everybodys: Everybodys
) -> Seen | None:
    change, subject = record.change, record.subject
    if record.post is not None:

        def known(uri: str) -> list[Seen]:
            mine = find(uri)
            return [*([mine] if mine is not None else []), *everybodys(uri)]

        if change.did == watched.did:
            return _by_brand(change, record.post, watched, known)
        if change.did in watched.account.staff:
            root, parent = record.post.root, record.post.parent
            to_brand = parent is not None and any(_is_said(one, watched) for one in known(parent.uri))
            in_brands_thread = root is not None and root.author == watched.did
            seen = _by_brand(change, record.post, watched, known) if to_brand or in_brands_thread else None
            return seen if seen is not None and seen.kind == "reply" else None
        return _by_follower(change, record.post, watched)
    if subject is None:
        return None
    kind = _KINDS[change.collection]
    whose = subject.author
    if kind == "block":
        blocks = change.did == watched.did and not (whose in watched.own or whose in watched.account.staff)
        return _noted(change, watched, kind, follower=whose) if blocks else None
    if change.did == watched.did:
        others = whose is not None and whose not in watched.own and whose not in watched.account.staff
        return _noted(change, watched, kind, parent=subject.uri, follower=whose) if others else None
    if change.did in watched.account.staff or whose != watched.did:
        return None
    return _noted(change, watched, kind, post=subject.uri if subject.url else None)


def _by_follower(change: Change, post: Post, watched: Watched) -> Seen | None:
    root = post.root.uri if post.root else change.uri
    parent = post.parent.uri if post.parent else None
    brands = post.root is not None and post.root.author == watched.did
    if brands or (post.parent is not None and post.parent.author == watched.did):
        return _noted(change, watched, "comment", thread=root, post=root if brands else None, parent=parent)
    if watched.did in post.mentions:
        return _noted(change, watched, "mention", thread=root, parent=parent)
    if post.quote is not None and post.quote.author == watched.did:
        # A list or a starter pack of the brand is passed on in the same way, and is no post.
        return _noted(change, watched, "share", post=post.quote.uri if post.quote.url else None)
    return None


def _by_brand(change: Change, post: Post, watched: Watched, known: Callable[[str], list[Seen]]) -> Seen:
    root, parent = post.root, post.parent
    if root is None or parent is None:
        return _noted(change, watched, "post", thread=change.uri)
    brands = root.uri if root.author in watched.own else None
    follower, answered = parent.author, parent.uri
    ours = watched.own.union(watched.account.staff)
    if follower is None or follower in ours:
        continued = next((one for one in known(parent.uri) if _continues(one, watched)), None)
        if continued is not None:
            # The second part of a long answer answers what the first part did.
            follower, answered = continued.follower, continued.parent or parent.uri
        elif follower not in watched.account.staff:
            follower, answered = root.author, root.uri
    if follower is None or follower in ours:
        return _noted(change, watched, "post", thread=root.uri, post=brands, parent=parent.uri)
    reply = _noted(change, watched, "reply", thread=root.uri, post=brands, parent=answered, follower=follower)
    noted = (one.conversation for uri in (answered, parent.uri) for one in known(uri))
    there = next((each for each in noted if each in watched.pairs(follower)), reply.conversation)
    return replace(reply, conversation=there)


def _is_said(one: Seen, watched: Watched) -> bool:
    """Whether it is what a follower said to the account, or what was answered to that."""
    return one.account == watched.account.id and (one.kind in SPOKEN or one.kind == "reply")


def _continues(one: Seen, watched: Watched) -> bool:
    """Whether it is an answer of the brand."""
    return one.kind == "reply" and one.conversation in watched.pairs(one.follower)


def _noted(
    change: Change,
    watched: Watched,
    kind: Kind,
    *,
    thread: str | None = None,
    post: str | None = None,
    parent: str | None = None,
    follower: str | None = None,
) -> Seen:
    follower = follower or change.did
    return Seen(
        uri=change.uri,
        account=watched.account.id,
        kind=kind,
        conversation=watched.pair(follower),
        thread=thread,
        post=post,
        follower=follower,
        parent=parent,
        rev=change.rev,
    )


def _parent(seen: Seen, record: Record, watched: Watched) -> Parent | None:
    if seen.parent is not None and _is_outreach(seen, record.change, watched):
        return Parent(seen.parent, seen.follower)
    if seen.parent is None or record.post is None:
        return None
    return Parent(seen.parent, seen.follower if seen.kind == "reply" else Reference.to(seen.parent).author)


def _actor(seen: Seen, change: Change, watched: Watched) -> Actor:
    if seen.kind == "block":
        return Actor(seen.follower)
    return Actor(change.did, handle=watched.account.handle if change.did == watched.did else None)
