"""Who a brand could contact today, and why. Ranks candidates; does not find them."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from rapport.domain.figures import counted

Why: TypeAlias = Literal["quiet_buyer", "quiet_friend", "shared", "unanswered", "new"]
WHYS: tuple[Why, ...] = get_args(Why)
"""The dearest first: a buyer is harder to win back than somebody new is to greet."""

QUIET_FRIEND = timedelta(days=14)
"""People who like or trust a brand come by every few days; two weeks of silence are unusual."""
QUIET_BUYER = timedelta(days=30)
"""People buy less often than they talk."""
SHARED_WITHIN = timedelta(days=7)
"""Later, thanks come across as odd."""
UNANSWERED_WITHIN = timedelta(days=90)
"""Who has not come back for longer has not been waiting for an answer."""
SEVERAL = 3
"""This many comments without a single answer are no accident."""
REST = timedelta(days=7)
"""After being contacted or answered, nobody is suggested again for this long."""
MOST_PER_WHY = 5
"""Of each reason, a day: what a person can do well, with room for every reason."""


class Reason(Struct, frozen=True, omit_defaults=True):
    """Why somebody is suggested. `at`: last seen, shared, or first seen."""

    why: Why
    at: datetime
    stage: str | None = None
    comments: int | None = None
    post: str | None = None


class Candidate(Struct, frozen=True):
    """A follower, by its `_id`, with what speaks for it. `weight` decides between those with the same reason."""

    follower: str
    reason: Reason
    weight: float
    bot: bool = False
    blocked: bool = False


class Suggestion(Struct, frozen=True):
    """Somebody to reach out to; the first reason is the strongest."""

    follower: str
    reasons: tuple[Reason, ...]


def ranked(
    candidates: Iterable[Candidate],
    contacted: Mapping[str, datetime],
    now: datetime,
    listed: Collection[Suggestion] = (),
) -> list[Suggestion]:
    """Who joins `listed`, which stays as it is: the strongest reason first, and so many of each reason a day.

    `contacted` is when the brand last turned to a follower; whoever it turned to lately, bots and the blocked are left
    out. Does not depend on the order of the candidates.
    """
    reasons: dict[str, list[Candidate]] = {}
    for each in candidates:
        if not (each.bot or each.blocked or _lately(contacted.get(each.follower), now)):
            reasons.setdefault(each.follower, []).append(each)
    room = dict.fromkeys(WHYS, MOST_PER_WHY)
    for known in listed:
        reasons.pop(known.follower, None)
        room[known.reasons[0].why] -= 1
    found: list[Suggestion] = []
    for of_one in sorted((sorted(each, key=_order) for each in reasons.values()), key=lambda each: _order(each[0])):
        strongest = of_one[0].reason
        if room[strongest.why] > 0:
            room[strongest.why] -= 1
            first_of = {each.reason.why: each.reason for each in reversed(of_one)}
            found.append(Suggestion(of_one[0].follower, tuple(first_of[why] for why in WHYS if why in first_of)))
    return found


def _lately(at: datetime | None, now: datetime) -> bool:
    return at is not None and at > now - REST


def _order(candidate: Candidate) -> tuple[int, float, datetime, str]:
    reason = candidate.reason
    return WHYS.index(reason.why), -candidate.weight, reason.at, candidate.follower


def words(reason: Reason, now: datetime) -> str:
    """A reason in a sentence."""
    days = max(0, (now - reason.at).days)
    since = f"for {counted(days, 'day')}"
    match reason.why:
        case "quiet_buyer":
            return f"Bought from you, and has been quiet {since}."
        case "quiet_friend":
            held = "Trusts you" if reason.stage == "trusts" else "Likes you"
            return f"{held}, and has been quiet {since}."
        case "shared":
            return f"Shared a post of yours {_ago(days)}, and was not thanked."
        case "unanswered":
            return f"Wrote {counted(reason.comments or 0, 'comment')}, and never got an answer."
        case "new":
            return "New today: say hello."


def _ago(days: int) -> str:
    return "today" if days == 0 else "yesterday" if days == 1 else f"{days} days ago"
