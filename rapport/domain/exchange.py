"""Exchanges: which comments of a follower in a thread wait for an answer, since when, and what becomes of them.

`exchanges` is a pure function of the facts of one follower in one thread, the brand's settings and the partition's
clock. It does not look at what came first, so any order of arrival ends in the same exchanges. What was published
before is held against it in `rapport.domain.publication`.
"""

from collections.abc import Callable, Iterable
from typing import Literal

from msgspec import Struct

from rapport.domain.policy import Terms

Removal = Literal["deleted", "hidden"]


class Comment(Struct, omit_defaults=True):
    """A follower's comment, mention or message. Times in ms; `appended` is when the log took it."""

    id: str
    kind: str
    at: int
    appended: int
    account: str
    conversation: str
    url: str | None = None
    text: str | None = None
    removed: int | None = None
    """Since when it is deleted or hidden, if it is."""
    removed_because: Removal | None = None
    exchange: str | None = None
    """The id of the exchange it was last published in."""


class Answer(Struct, omit_defaults=True):
    """The brand's reply to the follower. `parent` is the comment it answers, when that is known."""

    id: str
    at: int
    by: str
    parent: str | None = None
    automatic: bool = False


class Exchange(Struct, frozen=True):
    """One exchange as the facts have it. Times in ms."""

    first: Comment
    """The comment whose clock runs: the oldest one not taken away before it was due."""
    members: tuple[Comment, ...]
    terms: Terms
    state: Literal["open", "answered", "answered_late", "cancelled"]
    due: int
    fires: int
    """When the clock of the partition makes an unanswered one a breach."""
    breached: bool
    answer: Answer | None = None
    cancelled_because: Removal | None = None

    @property
    def joined(self) -> int:
        """How many comments wait, or waited, in it: those taken away do not, the first always does."""
        return sum(1 for comment in self.members if comment.removed is None or comment is self.first)


def exchanges(
    comments: Iterable[Comment],
    answers: Iterable[Answer],
    terms_of: Callable[[Comment], Terms],
    clock: int,
    grace: int,
) -> list[Exchange]:
    """The exchanges of one follower in one thread, oldest first.

    An answer covers every comment up to its own time, and the comment it replies to whatever the two times say (an
    author's clock can be wrong). Automatic answers cover nothing. `grace` (ms) is how long after a comment was appended
    its breach waits for an answer that was polled together with it.
    """
    waiting = sorted(comments, key=lambda comment: (comment.at, comment.id))
    at_of = {comment.id: comment.at for comment in waiting}
    covering = sorted(
        ((max(answer.at, at_of.get(answer.parent or "", answer.at)), answer.at, answer.id, answer) for answer in answers
         if not answer.automatic),
        key=lambda found: found[:3],
    )  # fmt: skip
    found: list[Exchange] = []
    start = 0
    for covers, _, _, answer in covering:
        end = start
        while end < len(waiting) and waiting[end].at <= covers:
            end += 1
        if end > start:
            found.append(_exchange(tuple(waiting[start:end]), answer, terms_of, clock, grace))
            start = end
    if start < len(waiting):
        found.append(_exchange(tuple(waiting[start:]), None, terms_of, clock, grace))
    return found


def _exchange(
    members: tuple[Comment, ...],
    answer: Answer | None,
    terms_of: Callable[[Comment], Terms],
    clock: int,
    grace: int,
) -> Exchange:
    for first in members:
        terms = terms_of(first)
        due = terms.due(first.at)
        gone = first.removed
        if gone is not None and gone < due and (answer is None or gone < answer.at):
            continue  # taken away in time, so the clock moves to the next
        fires = max(due, first.appended + grace)
        if answer is not None:
            late = answer.at > due
            return Exchange(
                first=first, members=members, terms=terms, due=due, fires=fires,
                state="answered_late" if late else "answered", breached=late, answer=answer,
            )  # fmt: skip
        if all(comment.removed is not None for comment in members):
            # Nothing is left to answer; but it was due before it went, which stays a miss.
            return Exchange(
                first=first, members=members, terms=terms, due=due, fires=fires,
                state="cancelled", breached=True, cancelled_because=first.removed_because,
            )  # fmt: skip
        return Exchange(
            first=first, members=members, terms=terms, due=due, fires=fires, state="open", breached=clock >= fires
        )
    first = members[0]
    terms = terms_of(first)
    due = terms.due(first.at)
    return Exchange(
        first=first, members=members, terms=terms, due=due, fires=max(due, first.appended + grace),
        state="cancelled", breached=False, cancelled_because=first.removed_because,
    )  # fmt: skip
