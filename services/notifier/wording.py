"""What an alert says to a person. Every text from outside is taken as hostile: one line, no control, no markup."""

import html
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from rapport.contracts.events import Alert, FollowerRef, MissingPost, Notice

SUBJECT_CHARACTERS = 200
NAME_CHARACTERS = 60
PLATFORM_NAMES = {
    "bluesky": "Bluesky", "facebook": "Facebook", "instagram": "Instagram", "linkedin": "LinkedIn",
    "mastodon": "Mastodon", "threads": "Threads", "tiktok": "TikTok", "x": "X", "youtube": "YouTube",
}  # fmt: skip
# Characters that reorder what is shown could make a stranger's text look like ours.
_REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@dataclass(frozen=True)
class Message:
    """One message to a person: a subject of one line, plain text, and the same as HTML."""

    subject: str
    text: str
    html: str


def message_for(notice: Notice, brand_name: str, link: str) -> Message:
    """The message of an alert or a reminder. `link` leads to what it is about in the portal."""
    if isinstance(notice, MissingPost):
        return _message_for_missing(notice, brand_name, link)
    alert = notice
    facts = _facts(alert)
    if alert.unconfirmed:
        facts.append("Unconfirmed: the platform was behind or silent, so an answer may already be there.")
    subject = one_line(headline(alert, brand_name), SUBJECT_CHARACTERS)
    said = lines_of(alert.first.text or "")
    address = web_address(alert.first.url)
    return Message(
        subject, _as_text(subject, facts, said, address, link), _as_html(subject, facts, said, address, link)
    )


def _message_for_missing(missing: MissingPost, brand_name: str, link: str) -> Message:
    where = f"{one_line(brand_name, NAME_CHARACTERS)} on {platform_name(missing.platform)}"
    late = span(missing.created_at - missing.planned_at)
    subject = one_line(f"Not published: a post of {where} was planned {late} ago", SUBJECT_CHARACTERS)
    facts = [f"Planned: {moment(missing.planned_at)}"]
    if missing.owner:
        facts.append(f"Owner: {one_line(missing.owner, NAME_CHARACTERS)}")
    said = lines_of(missing.text or "")
    return Message(subject, _as_text(subject, facts, said, None, link), _as_html(subject, facts, said, None, link))


def headline(alert: Alert, brand_name: str) -> str:
    """What, who, how late, for whom and where."""
    who = name_of(alert.follower)
    where = f"{one_line(brand_name, NAME_CHARACTERS)} on {platform_name(alert.platform)}"
    waited = span(alert.created_at - alert.opened_at)
    match alert.step:
        case "warning":
            return f"Due in {span(alert.due_at - alert.created_at)}: {who} has waited {waited} for {where}"
        case "breach":
            return f"Overdue: {who} has waited {waited} for {where}"
        case "escalation":
            return f"Still overdue: {who} has waited {waited} for {where}"
        case "resolved":
            how = "Answered" if alert.answered_at is not None else "Closed without an answer"
            return f"{how}: {who} no longer waits for {where}"
        case "retracted":
            return f"Not overdue after all: {who} did not wait too long for {where}"


def _facts(alert: Alert) -> list[str]:
    facts = [
        f"Asked: {moment(alert.opened_at)}",
        f"Due: {moment(alert.due_at)}",
    ]
    if alert.answered_at is not None:
        facts.append(f"Answered: {moment(alert.answered_at)}")
    if alert.comments > 1:
        facts.append(f"Comments waiting: {alert.comments}")
    return facts


def _as_text(subject: str, facts: list[str], said: list[str], address: str | None, link: str) -> str:
    parts = [subject, "\n".join(f"> {line}" for line in said), "\n".join(facts), f"In Rapport: {link}"]
    if address:
        parts.append(f"On the platform: {address}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _as_html(subject: str, facts: list[str], said: list[str], address: str | None, link: str) -> str:
    quoted = "<br>".join(html.escape(line) for line in said)
    rows = "<br>".join(html.escape(fact) for fact in facts)
    there = f' · <a href="{html.escape(address)}">On the platform</a>' if address else ""
    quote_block = (
        f'<blockquote style="margin:16px 0;padding:8px 16px;border-left:3px solid #999">{quoted}</blockquote>'
        if quoted
        else ""
    )
    return (
        '<!doctype html><html><body style="font:16px/1.5 sans-serif;color:#222;max-width:40em">'
        f'<p style="font-weight:bold">{html.escape(subject)}</p>{quote_block}<p>{rows}</p>'
        f'<p><a href="{html.escape(link)}">Open in Rapport</a>{there}</p></body></html>\n'
    )


def link_to(portal: str, notice: Notice) -> str:
    """The page in the portal of what it is about."""
    what, name = ("calendar", notice.plan) if isinstance(notice, MissingPost) else ("exchanges", notice.exchange)
    return f"{portal.rstrip('/')}/brands/{quote(notice.brand, safe='')}/{what}/{quote(name, safe='')}"


def platform_name(platform: str) -> str:
    """A platform as people write it."""
    return PLATFORM_NAMES.get(platform) or one_line(platform, NAME_CHARACTERS).capitalize()


def name_of(follower: FollowerRef) -> str:
    """`@handle`, else the name, else the platform's id."""
    if follower.handle:
        return "@" + one_line(follower.handle, NAME_CHARACTERS).lstrip("@")
    return one_line(follower.name or follower.id, NAME_CHARACTERS)


def one_line(text: str, limit: int) -> str:
    """A text as one line of at most `limit` characters, without control or reordering characters."""
    shown = " ".join("".join(" " if c.isspace() else c for c in text if c.isspace() or _is_shown(c)).split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def lines_of(text: str) -> list[str]:
    """A text as clean lines; none for an empty one."""
    return [one_line(line, 2000) for line in text.splitlines() if line.strip()]


def _is_shown(character: str) -> bool:
    return (
        unicodedata.category(character) not in ("Cc", "Cs") and unicodedata.bidirectional(character) not in _REORDERING
    )


def web_address(url: str | None) -> str | None:
    """A URL that is safe to link to: http or https, else nothing."""
    if url is None or any(c.isspace() or not _is_shown(c) for c in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.netloc else None


def moment(at: datetime) -> str:
    """A time as people read it, in UTC."""
    return at.astimezone(UTC).strftime("%a %d %b %Y, %H:%M UTC")


def span(length: timedelta) -> str:
    """A duration in its two largest units that matter: `45 min`, `24 h`, `24 h 10 min`, `3 d 4 h`."""
    minutes = max(0, round(length.total_seconds() / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
