"""Comments that were hidden or shown again, as far as we did it ourselves or a look found it. Pure.

Not every platform pushes that, and none says since when. So what was seen is remembered: a look that finds it
otherwise tells it, at the time of the look.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from rapport.contracts.cursors import Remembered
from rapport.contracts.events import Actor, Interaction, Object
from rapport.domain.times import ms

Hiding: TypeAlias = Literal["hide", "unhide"]
LOOKED_AT_FOR = timedelta(days=90)
"""How old a comment may be. What was seen of it is remembered for as long, counted from then."""
HIDDEN = frozenset({"comment", "mention"})
"""What can be hidden, of what is told."""


def name_of(thing: str) -> str:
    """The name under which it is remembered whether a comment is hidden."""
    return f"{thing}/hidden"


def hiding(
    kind: Hiding, at: datetime, *, brand: str, platform: str, account: str, thing: str, conversation: str,
    thread: str | None, post: str | None,
) -> Interaction:  # fmt: skip
    """That the brand hid a comment, or showed it again, as far as we know at this time."""
    return Interaction(
        id=f"{thing}#{kind}-{ms(at)}", brand=brand, platform=platform, account=account, kind=kind,
        actor=Actor(account), object=Object(thing), conversation=conversation, thread=thread, post=post,
        occurred_at=at, occurred_at_source="receipt", observed_at=at,
    )  # fmt: skip


def seen(comment: Interaction, kind: Hiding, at: datetime, claim: int) -> Remembered:
    """What is remembered of a comment that was hidden, or shown again."""
    return Remembered(
        account=comment.account, thing=name_of(comment.object.id), kind=kind, actor=comment.account,
        conversation=comment.conversation, seen_at=at, claim=claim,
    )  # fmt: skip


def changes(
    found: Iterable[Interaction],
    told: Iterable[Interaction],
    remembered: Callable[[str], Remembered | None],
    oldest: datetime,
    claim: int,
) -> tuple[list[Interaction], list[Remembered]]:
    """What to tell of comments, not older than that, which a look found hidden or shown; and what to remember.

    `found` has each comment, and a `hide` of each that is hidden. `told` are those hidings that are told as they are.
    """
    comments = {one.object.id: one for one in found if one.kind in HIDDEN and one.occurred_at >= oldest}
    hidden = {one.object.id for one in found if one.kind == "hide"}
    known = {one.object.id for one in told}
    changed: list[Interaction] = []
    things: list[Remembered] = []
    for thing, comment in comments.items():
        before = remembered(name_of(thing))
        kind: Hiding = "hide" if thing in hidden else "unhide"
        if kind == ("unhide" if before is None else before.kind):
            continue
        if before is not None and comment.observed_at < before.seen_at:
            continue  # it was asked for before that
        things.append(seen(comment, kind, comment.observed_at, claim))
        if thing not in known:
            changed.append(
                hiding(
                    kind, comment.observed_at, brand=comment.brand, platform=comment.platform, account=comment.account,
                    thing=thing, conversation=comment.conversation, thread=comment.thread, post=comment.post,
                )
            )  # fmt: skip
    return changed, things
