"""What is published of a thread: exchange ids that last, snapshots that changed, and alerts that are sent once.

The state of one follower in one thread is a `Thread`. Every record that touches it ends in `publish`, which compares
the exchanges with what was published before and returns the difference. Alerts depend on what was known when, so
they are a function of the log; snapshots are a function of the facts.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from rapport.contracts.events import (
    Alert,
    DecisionRef,
    ExchangeSnapshot,
    FirstComment,
    FollowerRef,
    PolicyRef,
    Step,
)
from rapport.domain.exchanges.exchange import Answer, Away, Block, Comment, Decision, Exchange, Facts, Rules, exchanges
from rapport.domain.exchanges.forgetting import (
    forget_text,
    names_until,
    said_until,
    still_named,
    still_said,
    text_until,
)
from rapport.domain.times import ms, utc

DAY_MS = 86_400_000
FOLD_AFTER = 30 * DAY_MS
"""An exchange that ended this long ago is history: its facts leave the state, and nothing reopens it."""
MOST_COMMENTS = 200
MOST_EXCHANGES = 50
MOST_DECISIONS = 50
MOST_BLOCKS = 20
"""Per follower and thread, so that a row stays far below what the log accepts as one record."""
LARGEST_ROW = 600_000
"""Bytes of a thread's row; the log takes 1 MiB. Threads of usual ids and addresses have a tenth of it at most."""
FEW = 8
"""How many comments, or exchanges, of a larger thread are kept."""
_SHORT_URL, _SHORT_TEXT = 256, 80


class Sent(Struct, omit_defaults=True):
    """Which alerts of one exchange were sent. `since` is the clock of its first publication."""

    since: int
    warnings: int = 0
    """How many of its warnings are over."""
    breach: bool = False
    escalations: int = 0
    """How many of its escalations are over."""
    resolved: bool = False
    retractions: int = 0
    first: str | None = None
    """The comment that was named when an alert was last sent."""


class Thread(Struct, omit_defaults=True, kw_only=True):
    """The facts of one follower in one thread, and what was published of them. A row of the exchanges agent."""

    brand: str
    platform: str
    thread: str
    follower: FollowerRef
    named_at: int = 0
    """The time of the interaction that the follower's handle and name were taken from."""
    comments: list[Comment] = []
    answers: list[Answer] = []
    decisions: list[Decision] = []
    blocks: list[Block] = []
    aways: list[Away] = []
    published: list[ExchangeSnapshot] = []
    sent: list[Sent] = []
    """Beside each of `published`."""
    closed_until: int = 0
    """Comments up to here belong to exchanges that were folded, and open no clock."""
    next_at: int | None = None
    """The clock at which the thread has to be reviewed again, if ever."""
    seen: int = 0
    """The partition's clock when this last changed."""


class Published(NamedTuple):
    """What has to be published because of one record."""

    snapshots: list[ExchangeSnapshot]
    alerts: list[Alert]


def publish(thread: Thread, rules: Rules, clock: int, unconfirmed: Callable[[str], bool]) -> Published:
    """Brings `thread` up to its facts at `clock` and returns what has to be published. Changes `thread`.

    `unconfirmed` says of an account whether what happened on it may not be known yet.
    """
    # First of all: what is history stays as it is, whether its facts have left the state yet or not.
    _fold(thread, clock, len(thread.published))
    _forget(thread, rules, clock)
    crowded = _bound(thread)
    facts = Facts(thread.comments, thread.answers, thread.decisions, thread.blocks, thread.aways)
    found = exchanges(facts, rules, clock)
    kept = _identify(thread, found, clock)
    snapshots: list[ExchangeSnapshot] = []
    alerts: list[Alert] = []
    next_at: int | None = None
    for place, exchange in kept:
        before = thread.published[place]
        backfilled = rules.backfilled(exchange.first)
        after = _snapshot(thread, exchange, before.id, before.revision, backfilled)
        if _differs(after, before) or before.revision == 0:
            after = structs.replace(after, revision=before.revision + 1)
            thread.published[place] = after
            snapshots.append(after)
        if not backfilled and not exchange.terms.pending:
            said = _alert_of(after, exchange, thread.sent[place], clock)
            if said is not None:
                alerts.append(structs.replace(said, unconfirmed=said.step in _MISSED and unconfirmed(said.account)))
        soonest = min((at for at in _moments(exchange, backfilled) if at > clock), default=None)
        next_at = _earlier(next_at, soonest)
    holders = {thread.published[place].id for place, _ in kept}
    for place, before in enumerate(thread.published):
        if before.id not in holders and before.state != "superseded":
            after = structs.replace(still_said(before, clock), state="superseded", revision=before.revision + 1)
            thread.published[place] = after
            snapshots.append(after)
            sent = thread.sent[place]
            if sent.breach:
                alerts.append(_alert(after, "retracted", sent, clock))
                sent.breach = False
                sent.retractions += 1
    _fold(thread, clock, FEW if crowded else MOST_EXCHANGES)
    thread.next_at, thread.seen = _earlier(next_at, _forgets_at(thread)), clock
    return Published(snapshots, alerts)


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _forget(thread: Thread, rules: Rules, clock: int) -> None:
    """Drops texts and names that the platform's terms do not allow to be kept any longer."""
    thread.follower = still_named(thread.follower, clock)
    for comment in thread.comments:
        forget_text(comment, rules, clock)
    # A superseded exchange is not published again.
    thread.published = [
        still_said(snapshot, clock) if snapshot.state == "superseded" else snapshot for snapshot in thread.published
    ]


def _forgets_at(thread: Thread) -> int | None:
    """The next clock at which something has to be dropped from a thread."""
    times = [names_until(thread.follower), *map(text_until, thread.comments)]
    for snapshot in thread.published:
        if snapshot.state == "superseded":
            times.append(said_until(snapshot))
    return min((at for at in times if at is not None), default=None)


def _identify(thread: Thread, found: list[Exchange], clock: int) -> list[tuple[int, Exchange]]:
    """The place among `thread.published` of each exchange found; new ones are appended with revision 0.

    A published exchange stays with the exchange that holds the comment it alerted about, else its first comment, else
    its oldest member. Where two meet in one, the one published first stays.
    """
    places = {snapshot.id: place for place, snapshot in enumerate(thread.published)}
    claims: dict[int, list[int]] = {}
    for place, snapshot in enumerate(thread.published):
        if snapshot.state == "superseded":
            continue
        wanted = (thread.sent[place].first, snapshot.first.id)
        mine = [
            (min((wanted.index(member.id) if member.id in wanted else 2) for member in members), index)
            for index, exchange in enumerate(found)
            if (members := [member for member in exchange.members if member.exchange == snapshot.id])
        ]
        if mine:
            claims.setdefault(min(mine)[1], []).append(place)
    kept: list[tuple[int, Exchange]] = []
    for index, exchange in enumerate(found):
        if index in claims:
            place = min(claims[index], key=lambda claim: (thread.sent[claim].since, claim))
        else:
            place = len(thread.published)
            fresh = _fresh_id(thread, exchange, places)
            places[fresh] = place
            thread.published.append(_snapshot(thread, exchange, fresh, 0, backfilled=False))
            thread.sent.append(Sent(since=clock))
        for member in exchange.members:
            member.exchange = thread.published[place].id
        kept.append((place, exchange))
    return kept


def _fresh_id(thread: Thread, exchange: Exchange, taken: dict[str, int]) -> str:
    attempt = 0
    while True:
        fresh = _digest(
            thread.brand, thread.platform, thread.thread, thread.follower.id, exchange.first.id, str(attempt)
        )
        if fresh not in taken:
            return fresh
        attempt += 1


def _digest(*parts: str) -> str:
    # 20 hex digits: among a billion exchanges, two share one with a chance of 4 in 10^7.
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


def _differs(after: ExchangeSnapshot, before: ExchangeSnapshot) -> bool:
    """Whether there is something to tell. That a name may be kept for longer, because somebody wrote again, is not."""
    if after.follower.kept_until == before.follower.kept_until:
        return after != before
    who = structs.replace(after.follower, kept_until=before.follower.kept_until)
    return structs.replace(after, follower=who) != before


def _snapshot(thread: Thread, exchange: Exchange, id: str, revision: int, backfilled: bool) -> ExchangeSnapshot:
    first, answer, decision = exchange.first, exchange.answer, exchange.decision
    return ExchangeSnapshot(
        id=id,
        brand=thread.brand,
        platform=thread.platform,
        account=first.account,
        conversation=first.conversation,
        thread=thread.thread,
        follower=thread.follower,
        first=FirstComment(
            id=first.id,
            url=first.url,
            text=first.text,
            kept_until=utc(first.kept_until) if first.kept_until is not None else None,
        ),
        comments=exchange.joined,
        opened_at=utc(first.at),
        due_at=utc(exchange.due),
        state=exchange.state,
        revision=revision,
        policy=PolicyRef(version=exchange.terms.version, rule=exchange.terms.index),
        cancelled_because=exchange.cancelled_because,
        decision=DecisionRef(by=decision.by, at=utc(decision.at), why=decision.why) if decision else None,
        backfilled=backfilled,
        breached_at=utc(exchange.due) if exchange.breached else None,
        answered_at=utc(answer.at) if answer else None,
        answered_by=answer.by if answer else None,
        response_seconds=max(0, answer.at - first.at) / 1000 if answer else None,
        business_seconds=exchange.terms.business_seconds(first.at, answer.at) if answer else None,
        stage_wanted=exchange.terms.pending,
        received_at=utc(first.received) if first.received is not None else None,
    )


def _moments(exchange: Exchange, backfilled: bool) -> list[int]:
    """The clocks at which an alert of an exchange is due, as it now stands."""
    if exchange.state != "open" or exchange.terms.pending or exchange.paused:
        return []
    if backfilled:
        return [exchange.fires]
    return [*_warnings(exchange), exchange.fires, *_escalations(exchange)]


def _warnings(exchange: Exchange) -> list[int]:
    return [at + exchange.delayed for at in exchange.terms.warnings(exchange.first.at)]


def _escalations(exchange: Exchange) -> list[int]:
    return [max(at, exchange.fires) for at in exchange.terms.escalations(exchange.due)]


def _alert_of(snapshot: ExchangeSnapshot, exchange: Exchange, sent: Sent, clock: int) -> Alert | None:
    """The alert of one exchange that is due now, if any; notes it in `sent`. Of several steps the highest."""
    if sent.breach and not exchange.breached:
        # Also where it was said to be answered late: it was not late after all.
        alert = _alert(snapshot, "retracted", sent, clock)
        sent.warnings, sent.breach, sent.escalations, sent.resolved = 0, False, 0, False
        sent.retractions += 1
        return alert
    if exchange.state != "open":
        if exchange.breached and sent.breach and not sent.resolved:
            sent.resolved = True
            return _alert(snapshot, "resolved", sent, clock)
        return None
    if exchange.paused:
        return None
    if not exchange.breached:
        over = sum(1 for at in _warnings(exchange) if at <= clock)
        if over > sent.warnings and clock < exchange.due:
            sent.warnings, sent.first = over, exchange.first.id
            return _alert(snapshot, "warning", sent, clock, over)
        return None
    escalated = sum(1 for at in _escalations(exchange) if at <= clock)
    if escalated > sent.escalations:
        sent.breach, sent.escalations, sent.first = True, escalated, exchange.first.id
        return _alert(snapshot, "escalation", sent, clock, escalated)
    if not sent.breach:
        sent.breach, sent.first = True, exchange.first.id
        return _alert(snapshot, "breach", sent, clock)
    return None


_MISSED = frozenset({"breach", "escalation"})


def _alert(snapshot: ExchangeSnapshot, step: Step, sent: Sent, clock: int, nth: int = 0) -> Alert:
    return Alert(
        id=_digest(snapshot.brand, snapshot.id, step, str(nth), str(sent.retractions)),
        brand=snapshot.brand,
        platform=snapshot.platform,
        account=snapshot.account,
        exchange=snapshot.id,
        step=step,
        follower=snapshot.follower,
        first=snapshot.first,
        comments=snapshot.comments,
        opened_at=snapshot.opened_at,
        due_at=snapshot.due_at,
        created_at=utc(clock),
        answered_at=snapshot.answered_at,
        received_at=snapshot.received_at,
    )


def _bound(thread: Thread) -> bool:
    """Keeps the oldest and the newest comments: the ones that open clocks, now and after the next answer.

    Of a row that is too large for the log all the same, it leaves out what is only shown, then more comments. Says
    whether it was one.
    """
    _keep(thread, MOST_COMMENTS)
    many = len(thread.comments) + len(thread.answers) + len(thread.decisions) + len(thread.published)
    if many <= FEW or len(msgspec.json.encode(thread)) <= LARGEST_ROW:
        return False
    for comment in thread.comments:
        comment.url = None if len(comment.url or "") > _SHORT_URL else comment.url
        comment.text = comment.text[:_SHORT_TEXT] if comment.text else None
    most = MOST_COMMENTS
    while most > FEW and len(msgspec.json.encode(thread)) > LARGEST_ROW:
        most //= 2
        _keep(thread, most)
    return True


def _keep(thread: Thread, most: int) -> None:
    if len(thread.comments) > most:
        thread.comments.sort(key=lambda comment: (comment.at, comment.id))
        middle = most // 2
        del thread.comments[middle : middle + len(thread.comments) - most]
    if len(thread.answers) > most:
        thread.answers.sort(key=lambda answer: (answer.at, answer.id))
        del thread.answers[: len(thread.answers) - most]
    if len(thread.decisions) > MOST_DECISIONS:
        thread.decisions.sort(key=lambda decision: (decision.at, decision.id))
        del thread.decisions[: len(thread.decisions) - MOST_DECISIONS]
    if len(thread.blocks) > MOST_BLOCKS:
        thread.blocks.sort(key=lambda block: (block.at, block.id))
        del thread.blocks[: len(thread.blocks) - MOST_BLOCKS]
    if len(thread.aways) > MOST_BLOCKS:
        thread.aways.sort(key=lambda away: (away.at, away.id))
        del thread.aways[: len(thread.aways) - MOST_BLOCKS]


def _closed_at(snapshot: ExchangeSnapshot) -> int | None:
    if snapshot.answered_at is not None:
        return ms(snapshot.answered_at)
    return ms(snapshot.decision.at) if snapshot.decision is not None else None


def is_history(thread: Thread, clock: int) -> bool:
    """Whether nothing that comes can change an exchange of a thread any more, so that nothing rests on its facts."""
    return all(_ended_long_ago(snapshot, clock) for snapshot in thread.published)


def _ended_long_ago(snapshot: ExchangeSnapshot, clock: int) -> bool:
    if snapshot.state == "open":
        return False
    return (_closed_at(snapshot) or ms(snapshot.due_at)) <= clock - FOLD_AFTER


def _fold(thread: Thread, clock: int, most: int) -> None:
    """Forgets the facts of exchanges that ended long ago, oldest first; and of more, where there are too many."""
    order = sorted(range(len(thread.published)), key=lambda place: thread.published[place].opened_at)
    surplus = len(order) - most
    gone: set[int] = set()
    for place in order:
        snapshot = thread.published[place]
        if snapshot.state == "open":
            break
        if not _ended_long_ago(snapshot, clock) and len(gone) >= surplus:
            break
        gone.add(place)
        if snapshot.state != "superseded":
            members = [comment.at for comment in thread.comments if comment.exchange == snapshot.id]
            thread.closed_until = max([thread.closed_until, _closed_at(snapshot) or 0, *members])
    if not gone:
        return
    folded = {thread.published[place].id for place in gone}
    thread.comments = [comment for comment in thread.comments if comment.exchange not in folded]
    thread.answers = [answer for answer in thread.answers if answer.at > thread.closed_until]
    thread.decisions = [each for each in thread.decisions if each.exchange not in folded]
    thread.published = [snapshot for place, snapshot in enumerate(thread.published) if place not in gone]
    thread.sent = [sent for place, sent in enumerate(thread.sent) if place not in gone]
