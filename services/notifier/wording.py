"""The words of alerts and reminders. Every text from outside is cleaned as it is put in."""

import html
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlsplit

from rapport.contracts.events import Alert, MissingPost, Notice
from rapport.domain.arrivals.lateness import delay, is_relevant
from rapport.domain.figures import duration_in_words
from rapport.domain.naming import LONGEST_NAME, by_handle
from rapport.domain.platforms import platform_name
from rapport.domain.retention import text_over
from rapport.kit.text import is_blank, lines_of, marked, one_line

SUBJECT_CHARACTERS = 200
_WAITS = ("warning", "breach", "escalation")
MINUTE, HOUR = 60, 3_600
"""In seconds."""


@dataclass(frozen=True)
class Message:
    """One message to a person: a subject of one line, plain text, and the same as HTML."""

    subject: str
    text: str
    html: str


def message_for(notice: Notice, brand_name: str, link: str, now: datetime) -> Message:
    """The message of an alert or a reminder as of `now`. `link` leads to its page in the portal."""
    brand = notice.brand if is_blank(brand_name) else brand_name
    where = f"{one_line(brand, LONGEST_NAME)} on {platform_name(one_line(notice.platform, LONGEST_NAME))}"
    if isinstance(notice, MissingPost):
        return _message_for_missing(notice, where, link, now)
    facts = _facts(notice)
    if notice.unconfirmed:
        facts.append("Unconfirmed: some data from the platform was missing, so there may already be an answer.")
    subject = one_line(headline(notice, where, now), SUBJECT_CHARACTERS)
    said = lines_of(notice.first.text or "")
    if notice.first.text is None and notice.first.kept_until is not None:
        said = [text_over(notice.platform)]
    address = web_address(notice.first.url)
    return Message(
        subject, _as_text(subject, facts, said, address, link), _as_html(subject, facts, said, address, link)
    )


def _message_for_missing(missing: MissingPost, where: str, link: str, now: datetime) -> Message:
    late = span(max(now, missing.created_at) - missing.planned_at)
    subject = one_line(f"Not published: a post for {where} was planned {late} ago", SUBJECT_CHARACTERS)
    facts = [f"Planned: {moment(missing.planned_at)}"]
    if missing.owner is not None and not is_blank(missing.owner):
        facts.append(f"Owner: {one_line(missing.owner, LONGEST_NAME)}")
    if missing.unconfirmed:
        facts.append("Unconfirmed: Rapport hears nothing of the account at the moment, so it may be published.")
    said = lines_of(missing.text or "")
    return Message(subject, _as_text(subject, facts, said, None, link), _as_html(subject, facts, said, None, link))


def headline(alert: Alert, where: str, now: datetime) -> str:
    """What, who, how late, for whom and where.

    An alert may be sent long after it was decided, because a mail server was away. A warning then says that its time
    has passed. The partition's clock may be a little ahead of ours, so `now` never counts as earlier than the decision.
    """
    follower = alert.follower
    who = by_handle(follower.id, follower.handle, follower.name)
    at = max(now, alert.created_at)
    waited = span(at - alert.opened_at)
    match alert.step:
        case "warning" if at < alert.due_at:
            return f"Due in {span(alert.due_at - at)}: {who} has waited {waited} for {where}"
        case "warning":
            return f"Overdue since {moment(alert.due_at)}: {who} has waited {waited} for {where}"
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
    if alert.received_at is not None and alert.step in _WAITS:
        facts += _delay(alert, alert.received_at)
    if alert.comments > 1:
        facts.append(f"Comments waiting: {alert.comments}")
    return facts


def _delay(alert: Alert, received_at: datetime) -> list[str]:
    """How much of the time to answer was over when the comment was received, if that is worth telling."""
    allowed, late = alert.due_at - alert.opened_at, delay(alert.opened_at, received_at)
    if not is_relevant(late, allowed.total_seconds()):
        return []
    platform = platform_name(one_line(alert.platform, LONGEST_NAME))
    passed = timedelta(seconds=late)
    part = "all" if passed >= allowed else span(passed)
    return [f"Received: {moment(received_at)}. Of these {span(allowed)}, {part} passed before {platform} told us."]


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
    """Its page in the portal."""
    what, name = ("calendar", notice.plan) if isinstance(notice, MissingPost) else ("exchanges", notice.exchange)
    return f"{portal.rstrip('/')}/brands/{quote(notice.brand, safe='')}/{what}/{quote(name, safe='')}"


def web_address(url: str | None) -> str | None:
    """The URL if it is safe to link to, which is http or https only."""
    if url is None or any(c.isspace() for c in url) or marked(url) != url:
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
    """A duration in whole minutes, from two days on in whole hours: `45 minutes`, `24 hours 10 minutes`, `3 days`.

    Rounded down, so that nothing is said to have lasted longer than it did.
    """
    seconds = length.total_seconds()
    if seconds < MINUTE:
        return "less than a minute"
    grain = HOUR if seconds >= 48 * HOUR else MINUTE
    return duration_in_words(seconds // grain * grain, joint=" ")
