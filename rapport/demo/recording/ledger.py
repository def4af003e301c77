"""The expected outcome of a recording, by the simplest possible bookkeeping: no code of the product is used here."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rapport.demo.recording.feed import Body

TARGET = timedelta(hours=24)
SPOKEN = ("comment", "mention", "message")
REMOVALS = ("delete", "hide")
ONCE = ("follow", "reaction", "share")
"""Kinds that count once per person and thing, in however many records."""
UNCOUNTED = (*REMOVALS, "edit")


@dataclass(frozen=True)
class ExpectedExchange:
    """One exchange at the end of the recording, with no more answers to come."""

    platform: str
    follower: str
    handle: str
    first: str
    """The id of the comment whose clock runs."""
    opened_at: datetime
    due_at: datetime
    state: str
    backfilled: bool


@dataclass
class Expected:
    """The expected outcome of one brand's interactions."""

    interactions: Counter[str] = field(default_factory=Counter)
    """By kind; each id once, without undoings."""
    undone: Counter[str] = field(default_factory=Counter)
    followers: set[tuple[str, str]] = field(default_factory=set)
    """Platform and id of everybody who did anything."""
    exchanges: list[ExpectedExchange] = field(default_factory=list)

    counts: Counter[str] = field(default_factory=Counter)
    """What all relationships together count, by kind: without what was taken back, deleted or hidden."""

    def states(self) -> Counter[str]:
        """How many exchanges by state."""
        return Counter(exchange.state for exchange in self.exchanges)

    def breaches(self, until: datetime) -> list[ExpectedExchange]:
        """The exchanges whose breach must be announced by then, longest overdue first."""
        return [one for one in self.running() if one.due_at <= until]

    def running(self) -> list[ExpectedExchange]:
        """The open exchanges that will alert somebody, by due time."""
        found = [one for one in self.exchanges if one.state == "open" and not one.backfilled]
        return sorted(found, key=lambda one: (one.due_at, one.first))


def expected_of(
    bodies: dict[str, list[Body]], connected_at: datetime, staff: Collection[str] = frozenset()
) -> Expected:
    """The outcome of one brand's interactions, given by platform in any order, repetitions included."""
    expected = Expected()
    for platform, all_of_it in bodies.items():
        once = list({body["id"]: body for body in all_of_it}.values())
        lanes: dict[tuple[str, str], list[Body]] = {}
        author_of = {body["id"]: body["actor"]["id"] for body in once if body["kind"] in SPOKEN}
        removed = {body["object"]["id"] for body in once if body["kind"] in REMOVALS}
        undone = {_record(body) for body in once if body.get("undo")}
        standing: dict[tuple[str, str, str], dict[str, bool]] = {}
        for body in once:
            kind = body["kind"]
            (expected.undone if body.get("undo") else expected.interactions)[kind] += 1
            follower = _follower(body, author_of, staff)
            if follower is None:
                continue
            expected.followers.add((platform, follower))
            if kind in ONCE:
                standing.setdefault((follower, kind, _thing(body)), {})[_record(body)] = _record(body) not in undone
            elif kind not in UNCOUNTED and body["id"] not in removed:
                expected.counts[kind] += -1 if body.get("undo") else 1
            if kind in (*SPOKEN, *REMOVALS, "reply"):
                lanes.setdefault((body["thread"], follower), []).append(body)
        expected.counts.update(kind for (_, kind, _), records in standing.items() if any(records.values()))
        for (_, follower), lane in lanes.items():
            expected.exchanges.extend(_exchanges(platform, follower, lane, connected_at))
    return expected


def _record(body: Body) -> str:
    """What is there, or was taken back, on the platform."""
    return str(body.get("object", body)["id"])


def _thing(body: Body) -> str:
    """The account or post that was followed, reacted to or shared. It counts once, however often."""
    return "the account" if body["kind"] == "follow" else str(body.get("post") or _record(body))


def _follower(body: Body, author_of: dict[str, str], staff: Collection[str]) -> str | None:
    if body["kind"] == "post":
        return None
    if body["kind"] == "reply":
        return str(body["parent"]["actor"])
    if body["kind"] == "hide":
        return author_of[body["object"]["id"]]
    actor = str(body["actor"]["id"])
    return None if actor in staff else actor


def _exchanges(platform: str, follower: str, lane: Iterable[Body], connected_at: datetime) -> list[ExpectedExchange]:
    """Reads one follower's thread from top to bottom, as a person would."""
    found: list[ExpectedExchange] = []
    lane = sorted(lane, key=_at)
    removed = {body["object"]["id"]: _at(body) for body in lane if body["kind"] in REMOVALS}
    waiting: list[Body] = []

    def close(answered_at: datetime | None) -> None:
        if not waiting:
            return
        left = [one for one in waiting if not _gone_in_time(one, removed, answered_at)]
        first = (left or waiting)[0]
        due_at = _at(first) + TARGET
        if not left:
            state = "cancelled"
        elif answered_at is None:
            state = "open"
        else:
            state = "answered" if answered_at <= due_at else "answered_late"
        actor = first["actor"]
        found.append(
            ExpectedExchange(
                platform, follower, actor["handle"], first["id"], _at(first), due_at, state, _at(first) < connected_at
            )
        )
        waiting.clear()

    for body in lane:
        if body["kind"] in SPOKEN:
            waiting.append(body)
        elif body["kind"] == "reply":
            close(_at(body))
    close(None)
    return found


def _gone_in_time(body: Body, removed: dict[str, datetime], answered_at: datetime | None) -> bool:
    gone = removed.get(body["id"])
    return gone is not None and gone < _at(body) + TARGET and (answered_at is None or gone < answered_at)


def _at(body: Body) -> datetime:
    return datetime.fromisoformat(body["occurred_at"])
