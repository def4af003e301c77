"""How the portal writes times, durations, states and names."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from rapport.contracts.errands import GIVEN_UP_AFTER
from rapport.domain.errands import UNSURE
from rapport.domain.figures import counted, duration, listed, percent
from rapport.domain.naming import by_name
from rapport.domain.platforms import platform_name
from rapport.domain.times import local
from rapport.kit.clock import now as clock_now
from rapport.kit.text import plain, written
from services.api.errands.schemas import Errand
from services.api.listening.service import Heard

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
    "retracted": "Retracted",
    "resolved": "Resolved",
}
DEEDS = {"answer": "Answer", "like": "Like", "hide": "Hide", "unhide": "Show again"}
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
    "block": "was blocked by the brand",
    "vote": "voted",
    "entry": "took part",
    "purchase": "bought",
}


def did(kind: str, undo: bool = False) -> str:
    """What somebody did, or took back, after their name: `took back: followed`."""
    if kind == "block" and undo:
        return "is no longer blocked by the brand"
    return f"{'took back: ' if undo else ''}{KINDS.get(kind, kind)}"


def moment(at: datetime, zone: str, now: datetime | None = None) -> str:
    """A time in a zone: `Mon 23 Nov, 19:12`; with its year where there it is not the current one."""
    its, today = local(at, ZoneInfo(zone)), local(now or clock_now(), ZoneInfo(zone)).date()
    return f"{weekday(its.date(), today)}, {its:%H:%M}"


def exactly(at: datetime, zone: str) -> str:
    """A time for people who do not know the brand's zone: `Mon 23 Nov 2026, 19:12 (Europe/Berlin)`."""
    return f"{local(at, ZoneInfo(zone)):%a %-d %b %Y, %H:%M} ({zone})"


def weekday(of: date, today: date) -> str:
    """A day with its weekday: `Mon 23 Nov`; with its year where that is not the current one."""
    return of.strftime("%a %-d %b" if of.year == today.year else "%a %-d %b %Y")


def day(of: date) -> str:
    """A day as people write it: `28 Nov 2026`."""
    return of.strftime("%-d %b %Y")


def clock(at: datetime, zone: str) -> str:
    """The time of day in a zone: `19:12`."""
    return local(at, ZoneInfo(zone)).strftime("%H:%M")


def alert_said(step: str, at: datetime, due_at: datetime, unconfirmed: bool, zone: str) -> str:
    """An alert in a sentence or two."""
    due = moment(due_at, zone)
    said = {
        "warning": f"Still unanswered, and due {due}.",
        "breach": f"Nobody answered by {due}.",
        "escalation": f"Nobody answered within {duration((at - due_at).total_seconds())} after it was due.",
        "retracted": "It was not overdue after all.",
        "resolved": "It was resolved after it was due.",
    }[step]
    return f"{said} Some data from the platform was missing, so there may be an answer." if unconfirmed else said


def errand_said(errand: Errand, zone: str) -> str:
    """How an answer, a hiding or a like stands, in a sentence or two."""
    match errand.state:
        case "done":
            return f"Done {moment(errand.since, zone)}."
        case "refused" if (errand.why or "").startswith(UNSURE):
            return _sentence(errand.why)
        case "refused":
            return f"Not done: {errand.why}."
        case "waiting":
            until = moment(errand.at + GIVEN_UP_AFTER, zone)
            return f"Not done yet: {errand.why}. It is tried again until {until}."
    return f"On its way. {_sentence(errand.why)}" if errand.why else "On its way."


def _sentence(why: str | None) -> str:
    return f"{why[:1].upper()}{why[1:]}." if why else ""


def hearing(heard: Heard, zone: str) -> str:
    """Why a brand's page is not live; empty if it is."""
    handles = listed([f"{each['handle']} on {platform_name(each['platform'])}" for each in heard.accounts])
    match heard.hearing:
        case "no_account":
            return "Not connected: this brand has no account yet"
        case "silent":
            return "Not connected" if heard.since is None else f"Not connected since {moment(heard.since, zone)}"
        case "unscored":
            what = "what comes in" if heard.since is None else f"what came after {moment(heard.since, zone)}"
            return f"Out of date: {what} is not counted yet"
        case "attention":
            return f"Needs attention: {handles}" + (f" ({heard.why})" if heard.why else "")
        case "incident":
            return f"The platform has a problem: {handles}" + (f" ({heard.why})" if heard.why else "")
        case "disconnected":
            return f"Not connected: {handles}"
        case "behind":
            return f"Catching up: {handles}"
    return ""  # a quiet account is a question, and the page goes on being live


def quiet(heard: Heard, zone: str) -> str:
    """Which accounts of a brand are quiet; empty if none is, or if something is known to be wrong."""
    if heard.hearing != "quiet" or heard.since is None:
        return ""
    first = heard.accounts[0]
    said = f"{first['handle']} on {platform_name(first['platform'])} has been quiet since {moment(heard.since, zone)}"
    more = len(heard.accounts) - 1
    others = f", and {counted(more, 'other account')} too" if more else ""
    return f"{said}{f'; {heard.why}' if heard.why else ''}{others}"


def within(seconds: float | None) -> str:
    """At most how long something took; a dash where nobody knows."""
    return "–" if seconds is None else f"within {duration(seconds)}"


def until(at: datetime, now: datetime) -> str:
    """The time left: `in 3 h 12 min`, `12 min overdue`. The page's script keeps it current."""
    seconds = (at - now).total_seconds()
    return f"in {duration(seconds)}" if seconds >= 0 else f"{duration(-seconds)} overdue"


def ago(at: datetime, now: datetime) -> str:
    """How long ago a time is: `5 min ago`."""
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 1 else f"{duration(seconds).split(' ')[0]} {duration(seconds).split(' ')[1]} ago"


def span(seconds: float | None) -> str:
    """A duration, or a dash."""
    return "–" if seconds is None else duration(seconds)


def shown_name(name: str | None, handle: str | None, platform_id: str) -> str:
    """A follower's name, handle or, failing both, the platform's id."""
    return by_name(platform_id, handle, name)


def shown(value: Any) -> Any:
    """Cleans text from outside just before a template shows it."""
    return plain(value) if type(value) is str else value


def ours(text: str) -> Markup:
    """What the brand's own people wrote, for a field in which they go on writing and for pages that they publish."""
    return escape(written(text))


def initials(name: str) -> str:
    """One or two letters for a name."""
    words = [word for word in name.split() if word[0].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "?"
