"""What a brand plans to publish, and which published post is which planned one.

A post belongs to a plan by hand, else because the plan names it, else because it reads like it at about its time on
its account. How alike two texts are is the share of their words that both have (`likeness.py`): a hashtag
that is added at the last minute costs little. From LIKE on it is the same post: below, more than half of the words are
others.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from rapport.domain.calendar.likeness import alike, content, likeness

__all__ = ["likeness"]

How: TypeAlias = Literal["hand", "id", "text"]
State: TypeAlias = Literal["draft", "planned", "cancelled"]
Approval: TypeAlias = Literal["not_needed", "wanted", "approved", "refused"]
CLEARED: frozenset[Approval] = frozenset({"not_needed", "approved"})
"""What the client has not approved is not to be published."""

LIKE = 0.5
ON_TIME = timedelta(minutes=15)
"""So far from its time a post is still on time."""


class Plan(NamedTuple):
    """A planned post. `post` is the id or the address of the post that it is to be, where somebody said so."""

    id: str
    account: str
    at: datetime
    text: str
    post: str | None = None


class Published(NamedTuple):
    """A published post; `names` are its id on the platform and its address."""

    id: str
    account: str
    at: datetime
    text: str
    names: tuple[str, ...] = ()


class Match(NamedTuple):
    """The plan that a post belongs to, and why."""

    plan: str
    how: How


def matched(
    plans: Iterable[Plan], posts: Iterable[Published], by_hand: Mapping[str, str | None], window: timedelta
) -> dict[str, Match]:
    """The plan of each post that has one, by the post's id; no plan has two posts.

    `by_hand` says of posts which plan is theirs, or that none is. The result does not depend on any order: of several
    pairs the more alike wins, then the nearer in time, then the earlier, then the smaller ids.
    """
    left = {plan.id: plan for plan in plans}
    open_posts = {post.id: post for post in posts}
    found: dict[str, Match] = {}
    for post_id, said in sorted(by_hand.items()):
        if open_posts.pop(post_id, None) is not None and said is not None and left.pop(said, None) is not None:
            found[post_id] = Match(said, "hand")
    named = {name: post.id for post in sorted(open_posts.values(), reverse=True) for name in post.names}
    for plan in sorted(left.values(), key=lambda each: (each.at, each.id)):
        meant = named.get(plan.post) if plan.post is not None else None
        if meant is not None and open_posts.pop(meant, None) is not None:
            del left[plan.id]
            found[meant] = Match(plan.id, "id")
    of_account: dict[str, list[Published]] = defaultdict(list)
    for each in sorted(open_posts.values(), key=_time):
        of_account[each.account].append(each)
    plan_contents = {plan.id: content(plan.text) for plan in left.values()}
    post_contents = {post.id: content(post.text) for post in open_posts.values()}
    pairs = [
        (-share, abs(post.at - plan.at), plan.at, plan.id, post.id)
        for plan in left.values()
        for post in _around(of_account[plan.account], plan.at, window)
        if (share := alike(plan_contents[plan.id], post_contents[post.id])) >= LIKE
    ]
    for *_, plan_id, post_id in sorted(pairs):
        if plan_id in left and post_id not in found:
            del left[plan_id]
            found[post_id] = Match(plan_id, "text")
    return found


def _around(posts: Sequence[Published], at: datetime, window: timedelta) -> Sequence[Published]:
    """Those of some posts, in order of time, that were published within `window` of a time."""
    return posts[bisect_left(posts, at - window, key=_time) : bisect_right(posts, at + window, key=_time)]


def _time(post: Published) -> datetime:
    return post.at


def is_missing(
    state: State, approval: Approval, at: datetime, grace: timedelta, now: datetime, *, published: bool
) -> bool:
    """Whether a planned post should be out by now."""
    return state == "planned" and approval in CLEARED and not published and at + grace <= now
