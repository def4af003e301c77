"""The closing words of the demonstration: where to look, and what is about to happen there."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rapport.demo.plans import FORGOTTEN, MISSING_IN
from rapport.domain.figures import counted
from rapport.local.running_installation import RunningInstallation

MOST_SOON = 2
"""How many of the comments that will soon be overdue are named; the others are just the same."""


def where_to_look(running: RunningInstallation, key: str, inbox: str) -> Iterator[str]:
    """The addresses, and the key to log in with."""
    yield f"Portal      {running.portal}"
    yield f"Key         {key}   (log in with it; it can read and write, but not connect accounts)"
    yield f"Inbox       {inbox}   (the mails and webhooks that the three brands get)"
    yield f"API         {running.api}/v1   generic door: {running.ingest}/v1/interactions"


def soon(waiting: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The open exchanges whose clocks are still running."""
    return [one for one in waiting if not one["backfilled"] and datetime.fromisoformat(one["due_at"]) > now]


NOT_AS_IN_LIFE = (
    "Not as in life: two weeks arrived within seconds. So the portal says that platforms told us of them hours or days "
    "late."
)


def what_happens_next(
    waiting: list[dict[str, Any]], names: Mapping[str, str], played_at: datetime, now: datetime
) -> Iterator[str]:
    """What will happen in the next minutes, in order.

    `waiting` are the open exchanges by due time, as the API lists them; `names` are the brands' names by id.
    """
    for one in soon(waiting, now)[:MOST_SOON]:
        who = one["follower"]["name"] or one["follower"]["handle"] or one["follower"]["platform_id"]
        yield (
            f"{_in(one['due_at'], now)}: {who} will have waited a day for an answer from {names[one['brand']]}. The "
            "comment becomes overdue in the portal, and a mail and a webhook about it arrive in the inbox."
        )
    missing_at = played_at + MISSING_IN
    if missing_at > now:
        yield (
            f"{_in(missing_at.isoformat(), now)}: a post that each brand planned (“{FORGOTTEN[:36]}…”) is missing. "
            "The calendar shows it, and a reminder arrives in the inbox."
        )
    yield (
        "Any time: answer somebody who wrote to Harbour Roasters on Mastodon. The answer goes from the portal to the "
        "demo's own server, comes back from there, and ends the clock."
    )
    yield "Any time: pick a comment under Overdue in the portal, and mark it as needing no reply."


def to_connect(running: RunningInstallation) -> Iterator[str]:
    """How to connect an account of your own."""
    yield "To connect an account of your own (docs/connect.md), paste this into another terminal:"
    yield running.exports()


def _in(at: str, now: datetime) -> str:
    seconds = max(0, round((datetime.fromisoformat(at) - now).total_seconds()))
    if seconds < 100:
        return f"In {counted(seconds, 'second')}"
    return f"In {counted(round(seconds / 60), 'minute')}"
