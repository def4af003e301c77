"""What the demonstration says when everything is played: where to look, and what is about to happen there."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from rapport.demo.plans import FORGOTTEN, MISSING_IN
from rapport.local.line import Line

MOST_SOON = 2
"""How many comments that are soon overdue are named; the rest is the same once more."""


def where_to_look(line: Line, key: str, inbox: str) -> Iterator[str]:
    """The addresses, and the keys that open them."""
    yield f"Portal      {line.portal}"
    yield f"Key         {key}   (log in with it; it can read and answer, not connect accounts)"
    yield f"Inbox       {inbox}   (the mails and webhooks that Rapport sends to the three brands)"
    yield f"API         {line.api}/v1   generic door: {line.ingest}/v1/interactions"


def soon(waiting: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Those open exchanges whose clocks still run."""
    return [one for one in waiting if not one["backfilled"] and datetime.fromisoformat(one["due_at"]) > now]


def what_happens_next(
    waiting: list[dict[str, Any]], names: Mapping[str, str], played_at: datetime, now: datetime
) -> Iterator[str]:
    """What turns within the next minutes, in order.

    `waiting` are the open exchanges as the API lists them, those due first at the beginning; `names` the brands' by id.
    """
    for one in soon(waiting, now)[:MOST_SOON]:
        who = one["follower"]["name"] or one["follower"]["handle"] or one["follower"]["platform_id"]
        yield (
            f"{_in(one['due_at'], now)}: {who} has waited a day for an answer from {names[one['brand']]}. The comment "
            "turns overdue in the portal, and a mail and a webhook about it arrive in the inbox."
        )
    missing_at = played_at + MISSING_IN
    if missing_at > now:
        yield (
            f"{_in(missing_at.isoformat(), now)}: a post that each brand planned (“{FORGOTTEN[:36]}…”) did not come. "
            "The calendar shows it as missing, and the inbox gets word of it."
        )
    yield "Any time: answer somebody. Pick a comment under Overdue in the portal, and say that no reply is needed."


def to_connect(line: Line) -> Iterator[str]:
    """How to go on with an account of one's own."""
    yield "To connect an account of your own (docs/connect.md), paste this into another terminal:"
    yield line.exports()


def _in(at: str, now: datetime) -> str:
    seconds = max(0, round((datetime.fromisoformat(at) - now).total_seconds()))
    if seconds < 100:
        return f"In {seconds} seconds"
    return f"In {round(seconds / 60)} minutes"
