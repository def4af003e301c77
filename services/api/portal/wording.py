"""How the portal says times, durations, shares and names."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rapport.domain.figures import percent
from rapport.domain.naming import by_name
from rapport.domain.platforms import platform_name
from rapport.domain.times import local
from rapport.kit.text import plain
from services.api.listening import Heard
from services.api.shapes import duration
from services.api.words import listed

__all__ = ["percent"]

STATES = {
    "open": "Open",
    "answered": "Answered in time",
    "answered_late": "Answered late",
    "cancelled": "Cancelled",
    "superseded": "Merged",
}
CANCELLED = {
    "deleted": "Deleted",
    "hidden": "Hidden",
    "blocked": "Follower blocked",
    "disconnected": "Account disconnected",
    "no_reply_needed": "No reply needed",
    "spam": "Spam",
    "erased": "Person erased",
}
STAGES = {"new": "New", "knows": "Knows", "likes": "Likes", "trusts": "Trusts", "buys": "Buys"}
STEPS = {
    "warning": "Due soon",
    "breach": "Overdue",
    "escalation": "Escalated, still overdue",
    "retracted": "Taken back",
    "resolved": "Resolved",
}
KINDS = {
    "comment": "commented",
    "mention": "mentioned the brand",
    "message": "wrote a message",
    "reply": "replied",
    "reaction": "reacted",
    "share": "shared",
    "follow": "followed",
    "post": "posted",
    "edit": "edited",
    "delete": "deleted",
    "hide": "hid",
    "unhide": "showed again",
    "block": "blocked the brand",
    "vote": "voted",
    "entry": "took part",
    "purchase": "bought",
}


def moment(at: datetime, zone: str) -> str:
    """A time for people, in a zone: `Mon 23 Nov, 19:12`."""
    return local(at, ZoneInfo(zone)).strftime("%a %-d %b, %H:%M")


def clock(at: datetime, zone: str) -> str:
    """What the clocks of a zone show: `19:12`."""
    return local(at, ZoneInfo(zone)).strftime("%H:%M")


def alert_said(step: str, at: datetime, due_at: datetime, unconfirmed: bool, zone: str) -> str:
    """What an alert told, in a sentence or two."""
    due = moment(due_at, zone)
    said = {
        "warning": f"It was still unanswered, and due {due}.",
        "breach": f"Nobody had answered by {due}.",
        "escalation": f"Nobody had answered {duration((at - due_at).total_seconds())} after it was due.",
        "retracted": "It was not overdue after all.",
        "resolved": "It was settled after it was due.",
    }[step]
    return f"{said} Not everything from the platform had arrived, so an answer may be there." if unconfirmed else said


def hearing(heard: Heard, zone: str) -> str:
    """Why a brand's page cannot call itself live; empty where it can."""
    handles = listed([f"{each['handle']} on {platform_name(each['platform'])}" for each in heard.accounts])
    match heard.hearing:
        case "no_account":
            return "Not connected: the brand has no account yet"
        case "silent":
            return "Not connected" if heard.since is None else f"Not connected since {moment(heard.since, zone)}"
        case "disconnected":
            return f"Not connected: {handles}"
        case "behind":
            return f"Catching up: {handles}"
    return ""


def until(at: datetime, now: datetime) -> str:
    """How far away a time is: `in 3 h 12 min`, `12 min overdue`. The page's script goes on from here."""
    seconds = (at - now).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 0 else f"{duration(-seconds)} overdue"


def ago(at: datetime, now: datetime) -> str:
    """How long ago a time is: `5 min ago`."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 1 else f"{duration(seconds).split(' ')[0]} {duration(seconds).split(' ')[1]} ago"


def span(seconds: float | None) -> str:
    """A duration; a dash where there is none."""
    return "–" if seconds is None else duration(seconds)


def shown_name(name: str | None, handle: str | None, platform_id: str) -> str:
    """What a follower is called: by name, by handle, else by the platform's id."""
    return by_name(platform_id, handle, name)


def shown(value: Any) -> Any:
    """What an expression of a template gives, as it may be shown: text from outside is cleaned at the last moment."""
    return plain(value) if type(value) is str else value


def initials(name: str) -> str:
    """One or two letters for a name."""
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "?"


def link(url: str | None) -> str | None:
    """An address that may be followed: what people of the platform wrote may be anything, `javascript:` too."""
    return url if url and url.startswith(("https://", "http://")) else None
