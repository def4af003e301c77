"""What a brand hides in its threads: the gate of a thread says which replies are hidden. Pure.

What changed in a gate is told as interactions (`gated`), and a gate is changed for an errand (`changed`).

Of a gate only its newest version is there, so what changed is the difference from the version before, which the ledger
has. A gate that is deleted hides nothing any more. What the brand's own accounts and its staff wrote has no clock.

What a postgate detaches (a quote that shows the brand's post no more) hides nothing: the quote stays where its author
put it. Nor does what a gate says about who may reply, because what was written stays.

Source: https://github.com/bluesky-social/atproto/blob/main/lexicons/app/bsky/feed/threadgate.json
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from rapport.contracts.events import Actor, Interaction, Object
from rapport.domain.exchanges.addressing import occurred
from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.frames import THREADGATE, Change
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.records import MOST_HIDDEN, Reference, gated_post
from services.ingest.connectors.seen import Seen

ODD = "the settings of its thread are not as Bluesky writes them, so they are not changed from here"
FULL = f"{MOST_HIDDEN} replies are hidden in its thread already, and Bluesky allows no more"


class GateError(ValueError):
    """A gate that cannot be changed. The text says why, for people."""


def changed(
    gate: Mapping[str, Any] | None, reply: str, *, hide: bool, post: str, made_at: str
) -> dict[str, Any] | None:
    """The record of a gate, changed so that it hides a reply, or shows it; None where it does so already.

    `gate` is the record as it is, None where the thread of `post` has none; a new one is of `made_at`, an RFC 3339
    time. All else in the record stays, such as who may reply. Raises GateError where nobody could tell what a change
    would do, and where the list is full.
    """
    if gate is None:
        gate = {"$type": THREADGATE, "post": post, "createdAt": made_at}
    hidden = gate.get("hiddenReplies")
    hidden = [] if hidden is None else hidden
    if gate.get("post") != post or not isinstance(hidden, list) or not all(isinstance(each, str) for each in hidden):
        raise GateError(ODD)
    if (reply in hidden) is hide:
        return None
    if not hide:
        return {**gate, "hiddenReplies": [each for each in hidden if each != reply]}
    if len(hidden) >= MOST_HIDDEN:
        raise GateError(FULL)
    return {**gate, "hiddenReplies": [*hidden, reply]}


def gated(
    change: Change,
    hidden: Sequence[Reference],
    watched: Watched,
    find: Callable[[str], Seen | None],
    observed_at: datetime,
) -> tuple[list[Interaction], Seen] | None:
    """What the brand hides and shows again by a version of one of its gates, and what to note of it.

    `hidden` is all that it hides now: nothing where it was deleted. None for a version that is not newer than the one
    that was noted: a stream that is read again tells both in their order.
    """
    before = find(change.uri)
    if before is not None and change.rev <= before.rev:  # a version's name sorts by time
        return None
    was = tuple(map(Reference.to, (before.hidden or "").split())) if before is not None else ()
    now = tuple(dict.fromkeys(each for each in hidden if _is_followers(each, watched)))
    found = [_hiding("unhide", each, change, watched, find, observed_at) for each in was if each not in now]
    found += [_hiding("hide", each, change, watched, find, observed_at) for each in now if each not in was]
    return found, _noted(change, now, watched)


def _is_followers(reply: Reference, watched: Watched) -> bool:
    brands = reply.author in watched.own or reply.author in watched.account.staff
    return reply.url is not None and not brands


def _hiding(
    kind: Literal["hide", "unhide"],
    reply: Reference,
    change: Change,
    watched: Watched,
    find: Callable[[str], Seen | None],
    observed_at: datetime,
) -> Interaction:
    noted = find(reply.uri)
    time = occurred(change.at, "platform", observed_at)
    root = gated_post(change)
    return Interaction(
        id=f"{reply.uri}#{kind}-{change.rev}",
        brand=watched.brand,
        platform=PLATFORM,
        account=watched.account.id,
        kind=kind,
        actor=Actor(watched.did, handle=watched.account.handle),
        object=Object(reply.uri, reply.url),
        conversation=noted.conversation if noted is not None else watched.pair(reply.author or ""),
        thread=root,
        post=root,
        occurred_at=time.at,
        occurred_at_source=time.source,
        clamped=time.clamped,
        observed_at=observed_at,
    )


def _noted(change: Change, hidden: Sequence[Reference], watched: Watched) -> Seen:
    root = gated_post(change)
    return Seen(
        uri=change.uri,
        account=watched.account.id,
        kind="hide",
        conversation=f"{watched.did}:{watched.did}",
        thread=root,
        post=root,
        follower=watched.did,
        parent=None,
        rev=change.rev,
        hidden=" ".join(each.uri for each in hidden) or None,
    )
