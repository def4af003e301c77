"""Explains when an exchange is due and how it ended, as data and in words for people who never saw a policy."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from rapport.contracts.controls import PolicyVersion
from rapport.domain.arrivals.lateness import WORTH_TELLING, delay, of_the_team
from rapport.domain.figures import duration_in_words, listed
from rapport.domain.policies import business_time
from rapport.domain.policies.policy import DEFAULT_RULE, DEFAULT_VERSION, Terms
from rapport.domain.times import local, ms, utc
from services.api.exchanges.documents import ExchangeDocument
from services.api.exchanges.schemas import Closed, Ended, Explanation
from services.api.policies.schemas import Rule
from services.api.policies.service import applies_to

MOST_CLOSED = 200
"""Spans in the list; a target of months has hundreds."""
_WEEKDAY_ALONE = timedelta(days=6)
"""Within so many days of the time mentioned before, a weekday is clear without its date."""

BECAUSE = {
    "deleted": "the comment was deleted",
    "hidden": "the brand hid the comment",
    "blocked": "the follower was blocked",
    "disconnected": "the account was disconnected",
    "no_reply_needed": "no reply was needed",
    "spam": "it was spam",
}


class Seen(NamedTuple):
    """What is known about an exchange from its alerts and its answer."""

    unconfirmed: bool = False
    """The platform was behind when the breach was sent."""
    answerer: str | None = None
    """The name of the person who answered."""


def explanation(
    exchange: ExchangeDocument, policy: PolicyVersion | None, zone: str, now: datetime, seen: Seen | None = None
) -> Explanation:
    """The explanation, with times in `zone`. `policy` is the exchange's version; None: the default, or unknown."""
    seen = seen or Seen()
    terms = _terms(exchange, policy)
    opened, due = ms(exchange["opened_at"]), ms(exchange["due_at"])
    timed = terms if terms and terms.timed and not exchange.get("stage_wanted") else None
    closed = business_time.skipped(opened, due, timed.calendar) if timed and timed.calendar else []
    return Explanation(
        text=" ".join(_Words(exchange, terms, closed, zone, now, seen).sentences()),
        opened_at=exchange["opened_at"],
        due_at=exchange["due_at"],
        policy_version=exchange["policy"]["version"],
        rule_index=exchange["policy"]["rule"],
        rule=Rule.model_validate(msgspec.to_builtins(terms.rule)) if terms else None,
        applies_to=applies_to(terms.rule.when) if terms else None,
        target_seconds=terms.rule.target_seconds if terms else None,
        calendar=terms.rule.calendar if terms else None,
        closed=[
            Closed(starts_at=utc(span.start), ends_at=utc(span.end), name=span.name)
            for span in islice(closed, MOST_CLOSED)
        ],
        warnings_at=[utc(at) for at in timed.warnings(opened)] if timed else [],
        escalations_at=[utc(at) for at in timed.escalations(due)] if timed else [],
        unconfirmed=seen.unconfirmed,
        ended=_ended(exchange, seen),
    )


def _terms(exchange: ExchangeDocument, policy: PolicyVersion | None) -> Terms | None:
    version, index = exchange["policy"]["version"], exchange["policy"]["rule"]
    if version == DEFAULT_VERSION:
        return Terms(DEFAULT_RULE, DEFAULT_VERSION, 0)
    if policy is None or index >= len(policy.rules):
        return None
    rule = policy.rules[index]
    return Terms(rule, version, index, policy.calendars[rule.calendar] if rule.calendar is not None else None)


def _ended(exchange: ExchangeDocument, seen: Seen) -> Ended:
    decision = exchange.get("decision")
    return Ended(
        how=exchange["state"],
        at=exchange.get("answered_at") or (decision["at"] if decision else None),
        by=seen.answerer or exchange.get("answered_by") or (decision["by"] if decision else None),
        because=exchange.get("cancelled_because"),
        why=decision["why"] if decision else None,
    )


class _Gap(NamedTuple):
    """Closed spans that follow each other without a break."""

    start: int
    end: int
    names: tuple[str, ...]


def _gaps(closed: Iterable[business_time.Closed]) -> list[_Gap]:
    found: list[_Gap] = []
    for span in closed:
        names = (span.name,) if span.name else ()
        if found and found[-1].end == span.start:
            before = found.pop()
            fresh = tuple(name for name in names if name not in before.names)
            found.append(_Gap(before.start, span.end, before.names + fresh))
        else:
            found.append(_Gap(span.start, span.end, names))
    return found


class _Words:
    """The sentences about one exchange. Dates are given only if the weekday alone would be unclear."""

    def __init__(
        self,
        exchange: ExchangeDocument,
        terms: Terms | None,
        closed: Sequence[business_time.Closed],
        zone: str,
        now: datetime,
        seen: Seen,
    ) -> None:
        self._exchange = exchange
        self._terms = terms
        self._gaps = _gaps(closed)
        self._zone = ZoneInfo(zone)
        self._now = now
        self._said = now.astimezone(self._zone)
        self._seen = seen
        self._due = exchange["due_at"]
        self._is_open = exchange["state"] == "open"
        self._breached = exchange["breached_at"] is not None
        received = exchange.get("received_at")
        self._received = None if exchange["backfilled"] else received
        self._delay = delay(exchange["opened_at"], self._received) if self._received is not None else 0.0

    def sentences(self) -> list[str]:
        """All sentences, in the order in which things happened."""
        found = [f"Opened {self._day(self._exchange['opened_at'])}."]
        if self._delay >= WORTH_TELLING:
            found.append(f"It was received here {duration_in_words(self._delay)} later.")
        if self._exchange.get("stage_wanted"):
            unknown = "is not known yet, so no clock runs" if self._is_open else "was not known, so no clock ran"
            found.append(f"Which rule applies depends on the follower's stage. It {unknown}.")
        elif self._terms is None:
            policy = self._exchange["policy"]
            found.append(f"Rule {policy['rule'] + 1} of policy version {policy['version']} set its clock.")
            found.append(f"It {'is' if self._is_open else 'was'} due on {self._at(self._due)}.")
        else:
            found += self._clock(self._terms)
        if self._exchange["backfilled"]:
            found.append("It was written before the account was connected, so nobody was alerted.")
        elif self._seen.unconfirmed:
            found.append(
                "When it ran out, not everything from the platform had arrived, so an answer may have been there."
            )
        return [*found, *self._end()]

    def _clock(self, terms: Terms) -> list[str]:
        target = duration_in_words(terms.rule.target_seconds or 0, days=terms.calendar is None)
        one = " and " not in target and target.startswith("1 ")
        if self._is_open and self._due > self._now:
            runs = f"the {target} {'runs' if one else 'run'} out"
        elif self._is_open or self._breached:
            runs = f"the {target} ran out"
        else:
            runs = f"the {target} would have run out"
        found = [self._hours(terms, runs)]
        if terms.version == DEFAULT_VERSION:
            found.append(f"No rule matches; the default of {target} applies.")
        else:
            found.append(
                f"That is rule {terms.index + 1} of policy version {terms.version}, for {applies_to(terms.rule.when)}."
            )
        if not self._exchange["backfilled"]:
            found += self._steps(terms)
        return found

    def _hours(self, terms: Terms, runs: str) -> str:
        """When the calendar stopped the clock, and when the target ran out."""
        if terms.calendar is None or terms.rule.calendar is None:
            return f"{runs[0].upper()}{runs[1:]} on {self._at(self._due)}."
        hours = _hours_of(terms.rule.calendar)
        if not self._gaps:
            return f"That was within {hours}, so {runs} on {self._at(self._due)}."
        first = self._gaps[0]
        over = utc(self._gaps[-1].end) <= self._now
        if len(self._gaps) > 1:
            names = tuple(dict.fromkeys(name for gap in self._gaps for name in gap.names))
            whole = duration_in_words(sum(gap.end - gap.start for gap in self._gaps) / 1000)
            return (
                f"Only {hours} count. They {'were' if over else 'are'} closed {len(self._gaps)} times after that, for "
                f"{whole} in all{_named(names)}, so {runs} on {self._at(self._due)}."
            )
        if first.start <= ms(self._exchange["opened_at"]):
            verb = "were" if over else "are"
            closed = f"{verb} closed until {self._day(utc(first.end))}{_named(first.names)}"
        else:
            end, begin = ("ended", "began") if over else ("end", "begin")
            closed = f"{end} on {self._at(utc(first.start))} and {begin} again on {self._at(utc(first.end))}"
            closed += _named(first.names)
        return f"{hours[0].upper()}{hours[1:]} {closed}, so {runs} on {self._at(self._due)}."

    def _steps(self, terms: Terms) -> list[str]:
        warnings = [self._at(utc(at)) for at in terms.warnings(ms(self._exchange["opened_at"]))]
        escalations = [self._at(utc(at)) for at in terms.escalations(ms(self._due))]
        parts = []
        if warnings:
            parts.append(f"to warn on {listed(warnings)}")
        if escalations:
            parts.append(f"to escalate on {listed(escalations)}")
        return [f"It {'is' if self._is_open else 'was'} set {' and '.join(parts)}."] if parts else []

    def _end(self) -> list[str]:
        state, because = self._exchange["state"], self._exchange.get("cancelled_because")
        if state == "open":
            return ["Nobody has answered yet, so it is overdue." if self._overdue() else "Nobody has answered yet."]
        if state == "superseded":
            return ["It was merged into another exchange."]
        if state != "cancelled":
            return [self._answer(late=state == "answered_late")]
        decision = self._exchange.get("decision")
        if decision is not None:
            said = "marked it as spam" if because == "spam" else "said that no reply is needed"
            why = decision["why"].rstrip(".")
            found = [f"On {self._at(decision['at'])} {decision['by']} {said}: “{why}”."]
        else:
            found = [f"It was cancelled because {BECAUSE.get(because or '', 'there was nothing left to answer')}."]
        if because == "spam":
            found.append("Spam counts neither as answered in time nor as missed.")
        elif self._breached:
            found.append("That was after it was due, so it counts as missed.")
        return found

    def _answer(self, *, late: bool) -> str:
        who = self._seen.answerer or "The brand"
        took = self._exchange.get("response_seconds") or 0.0
        business = self._exchange.get("business_seconds")
        after = duration_in_words(took)
        if business is not None and business != took and self._terms and self._terms.rule.calendar is not None:
            after = f"{duration_in_words(business, days=False)} of {_hours_of(self._terms.rule.calendar)}"
        how = f"{'late' if late else 'in time'}, after {after}"
        at = self._exchange.get("answered_at")
        if at is not None and self._received is not None and self._delay >= WORTH_TELLING:
            how += f", {duration_in_words(of_the_team(self._received, at))} of them after it was received"
        return f"{who} answered on {self._at(at)}, {how}." if at is not None else f"{who} answered {how}."

    def _overdue(self) -> bool:
        return self._due <= self._now and not self._exchange.get("stage_wanted")

    def _day(self, at: datetime) -> str:
        """`Friday 18:05`, `Friday 6 November 18:05`."""
        return self._say(at, " ")

    def _at(self, at: datetime) -> str:
        """`Friday at 18:05`, `Friday 6 November at 18:05`."""
        return self._say(at, " at ")

    def _say(self, at: datetime, between: str) -> str:
        shown = local(at, self._zone)
        date = ""
        if abs(shown.date() - self._said.date()) > _WEEKDAY_ALONE:
            date = f" {shown.day} {shown:%B}"
            if shown.year != self._now.astimezone(self._zone).year:
                date += f" {shown.year}"
        self._said = shown
        return f"{shown:%A}{date}{between}{shown:%H:%M}"


def _hours_of(calendar: str) -> str:
    name = calendar.replace("-", " ").replace("_", " ")
    return name if name.lower().endswith("hours") else f"{name} hours"


def _named(names: Sequence[str]) -> str:
    return f" ({listed(names)})" if names else ""
