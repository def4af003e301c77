"""Exchanges: which comments of a follower in a thread wait for an answer, since when, and what becomes of them.

`exchanges` is a pure function of the facts of one follower in one thread, the brand's settings and the partition's
clock. It does not matter what came first, so any order of arrival ends in the same exchanges.
`rapport.domain.exchanges.publication` compares them with what was published before.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from rapport.domain.policies.policy import Terms

Removal: TypeAlias = Literal["deleted", "hidden", "blocked", "disconnected"]
Because: TypeAlias = Literal["deleted", "hidden", "blocked", "disconnected", "no_reply_needed", "spam"]


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
    bot: bool = False
    empty: bool = False
    """No letter, no digit, no picture: a reaction in the form of a comment."""
    stage: str | None = None
    """The follower's stage when it opened an exchange, where a policy asks for it and it was told."""
    removed: int | None = None
    """Since when it is deleted or hidden, if it is."""
    removed_because: Literal["deleted", "hidden"] | None = None
    exchange: str | None = None
    """The id of the exchange it was last published in."""
    kept_until: int | None = None
    """Until when the platform's terms let the text be kept, if it has one and they limit that."""
    heard: str | None = None
    """Stands in for the text in the policy's rules once it is no longer kept: see `rapport.domain.retention`."""
    received: int | None = None
    """When ingest received it; None where it came before this was noted."""


class Answer(Struct, omit_defaults=True):
    """The brand's reply to the follower. `parent` is the comment it answers, when that is known."""

    id: str
    at: int
    by: str
    parent: str | None = None
    automatic: bool = False


class Decision(Struct, omit_defaults=True):
    """Someone of the brand said that an exchange needs no reply, or is spam; or took that back. `at` in ms.

    Of one exchange the newest, by time and id, holds.
    """

    exchange: str
    id: str
    at: int
    by: str
    why: str
    spam: bool = False
    undone: bool = False


class Block(Struct, omit_defaults=True):
    """The brand blocked the follower at `at` (ms), or lifted the block."""

    id: str
    at: int
    lifted: bool = False


class Away(Struct, omit_defaults=True):
    """At `at` (ms) the follower's account was deleted with all it wrote, or suspended for a while, or came back."""

    id: str
    at: int
    how: Literal["deleted", "suspended", "back"]


class Facts(NamedTuple):
    """What is known of one follower in one thread."""

    comments: Iterable[Comment]
    answers: Iterable[Answer] = ()
    decisions: Iterable[Decision] = ()
    blocks: Iterable[Block] = ()
    aways: Iterable[Away] = ()


class Rules(NamedTuple):
    """What a brand's settings say about one thread's exchanges.

    `grace` (ms) is how long after a comment was appended its breach waits for an answer that was polled together with
    it. `disconnected` gives when the comment's account was disconnected, if that was after the comment.
    """

    terms_of: Callable[[Comment], Terms]
    backfilled: Callable[[Comment], bool]
    disconnected: Callable[[Comment], int | None]
    grace: int
    words_of: Callable[[Comment], Iterable[str]] = lambda _: ()
    """The words that the rules for a comment look for."""


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
    joined: int
    """How many comments wait, or waited, in it: those taken away do not, the first always does."""
    answer: Answer | None = None
    decision: Decision | None = None
    cancelled_because: Because | None = None
    paused: bool = False
    """The follower's account is suspended, so the clock stands."""
    delayed: int = 0
    """By how much (ms) such pauses that are over have put off `due`, and the warnings before it."""


_Closer: TypeAlias = Answer | Decision
_Gone: TypeAlias = tuple[int, Removal]


def exchanges(facts: Facts, rules: Rules, clock: int) -> list[Exchange]:
    """The exchanges of one follower in one thread, oldest first.

    An answer covers every comment up to its own time, and the comment it replies to whatever the two times say (an
    author's clock can be wrong). An automatic one covers only what a policy lets it. That no reply is needed covers
    every comment up to when it was said.
    """
    waiting = sorted(
        (comment for comment in facts.comments if rules.terms_of(comment).timed),
        key=lambda comment: (comment.at, comment.id),
    )
    at_of = {comment.id: comment.at for comment in waiting}
    covering: list[tuple[int, int, str, _Closer]] = [
        (max(answer.at, at_of.get(answer.parent or "", answer.at)), answer.at, answer.id, answer)
        for answer in facts.answers
    ]
    covering += [(each.at, each.at, each.id, each) for each in _in_force(facts.decisions)]
    covering.sort(key=lambda found: found[:3])
    taken = _Taken(facts.blocks, facts.aways, rules)
    found: list[Exchange] = []
    start = 0
    for covers, _, _, closer in covering:
        end = start
        while end < len(waiting) and waiting[end].at <= covers:
            end += 1
        if end == start or (
            isinstance(closer, Answer)
            and closer.automatic
            and not rules.terms_of(waiting[start]).rule.automatic_answers
        ):
            continue
        found.append(_exchange(waiting[start:end], closer, rules, taken, clock))
        start = end
    if start < len(waiting):
        found.append(_exchange(waiting[start:], None, rules, taken, clock))
    return found


def _in_force(decisions: Iterable[Decision]) -> list[Decision]:
    newest: dict[str, Decision] = {}
    for each in decisions:
        known = newest.get(each.exchange)
        if known is None or (known.at, known.id) < (each.at, each.id):
            newest[each.exchange] = each
    return [each for each in newest.values() if not each.undone]


class _Taken:
    """Since when, and why, a comment no longer waits for an answer although nobody gave one."""

    def __init__(self, blocks: Iterable[Block], aways: Iterable[Away], rules: Rules) -> None:
        self._disconnected = rules.disconnected
        self.pauses: list[tuple[int, int | None]] = []
        self._deleted: int | None = None
        for away in sorted(aways, key=lambda away: (away.at, away.id)):
            pausing = bool(self.pauses) and self.pauses[-1][1] is None
            if away.how == "back":
                self._deleted = None
                if pausing:
                    self.pauses[-1] = self.pauses[-1][0], away.at
            elif not pausing:
                self.pauses.append((away.at, None))
            if away.how == "deleted" and self._deleted is None:
                self._deleted = away.at
            elif away.how == "suspended":
                self._deleted = None
        self._blocked: list[tuple[int, int | None]] = []
        since: int | None = None
        for block in sorted(blocks, key=lambda block: (block.at, block.id)):
            if block.lifted and since is not None:
                self._blocked.append((since, block.at))
                since = None
            elif not block.lifted and since is None:
                since = block.at
        if since is not None:
            self._blocked.append((since, None))

    def since(self, comment: Comment) -> _Gone | None:
        found: list[_Gone] = []
        if comment.removed is not None and comment.removed_because is not None:
            found.append((comment.removed, comment.removed_because))
        if self._deleted is not None:
            found.append((max(self._deleted, comment.at), "deleted"))
        for start, end in self._blocked:
            if end is None or comment.at < end:
                # What is written while the block holds is gone from its beginning.
                found.append((max(start, comment.at), "blocked"))
                break
        disconnected = self._disconnected(comment)
        if disconnected is not None:
            found.append((disconnected, "disconnected"))
        return min(found, default=None)

    def due(self, comment: Comment, terms: Terms) -> tuple[int, bool]:
        """When a comment is due, and whether its clock stands. It does not run while the account is out of sight."""
        due = terms.due(comment.at)
        for start, until in self.pauses:
            end = until
            if start >= due or (end is not None and end <= comment.at):
                continue
            if end is None:
                if self._deleted is None:
                    return due, True
                end = max(self._deleted, start, comment.at)  # out of sight first, and gone later
            due += end - max(start, comment.at)
        return due, False


def _exchange(members: list[Comment], closer: _Closer | None, rules: Rules, taken: _Taken, clock: int) -> Exchange:
    gone = [taken.since(member) for member in members]

    def made(
        place: int,
        state: Literal["open", "answered", "answered_late", "cancelled"],
        *,
        breached: bool,
        because: Because | None = None,
    ) -> Exchange:
        first = members[place]
        terms = rules.terms_of(first)
        due, paused = taken.due(first, terms)
        return Exchange(
            first=first, members=tuple(members), terms=terms, state=state, due=due,
            fires=max(due, first.appended + rules.grace), breached=breached,
            joined=sum(1 for index, since in enumerate(gone) if since is None or index == place),
            answer=closer if isinstance(closer, Answer) else None,
            decision=closer if isinstance(closer, Decision) else None,
            cancelled_because=because, paused=paused and state == "open",
            delayed=due - terms.due(first.at) if taken.pauses else 0,
        )  # fmt: skip

    for place, (first, since) in enumerate(zip(members, gone, strict=True)):
        due, paused = taken.due(first, rules.terms_of(first))
        if since is not None and since[0] < due and (closer is None or since[0] < closer.at):
            continue  # removed in time, so the clock moves to the next
        if isinstance(closer, Answer):
            late = closer.at > due and not paused
            return made(place, "answered_late" if late else "answered", breached=late)
        if isinstance(closer, Decision):
            if closer.spam:
                return made(place, "cancelled", breached=False, because="spam")
            return made(place, "cancelled", breached=closer.at > due and not paused, because="no_reply_needed")
        if since is not None and all(each is not None for each in gone):
            # Nothing is left to answer; but it was due before it went, which stays a miss.
            return made(place, "cancelled", breached=True, because=since[1])
        found = made(place, "open", breached=False)
        if clock >= found.fires and not (found.terms.pending or found.paused):
            return made(place, "open", breached=True)
        return found
    last = gone[0]
    assert last is not None, "every member was taken away"
    closer = None
    return made(0, "cancelled", breached=False, because=last[1])
