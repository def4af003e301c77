"""A policy as it is put or stored, turned into the structs that the scorer reads."""

from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import structs

from rapport.contracts import controls
from rapport.contracts.controls import PolicyVersion
from rapport.domain import business_time
from rapport.domain.business_time import Calendar, CalendarError
from rapport.domain.policy import Terms
from rapport.domain.times import ms
from rapport.kit.mongo import Document
from services.api.problems import FieldProblem, wrong_fields
from services.api.schemas.policy import Proposal, Rule
from services.api.stored import read_whole


class Proposed(NamedTuple):
    """Rules and calendars that a clock can be set by."""

    rules: tuple[controls.Rule, ...]
    calendars: dict[str, Calendar]


def checked(proposal: Proposal, now: datetime) -> Proposed:
    """The proposal as structs. Raises ProblemError (422) that names every field which is wrong, and why.

    Looks years ahead for due times, so it can take a second where hours are few and targets long.
    """
    calendars = {
        name: msgspec.convert(calendar.model_dump(), Calendar) for name, calendar in proposal.calendars.items()
    }
    flawed = {name: flaws for name, calendar in calendars.items() if (flaws := business_time.check(calendar))}
    problems = [
        FieldProblem(field=f"calendars.{name}.{flaw.where}", why=flaw.why)
        for name, flaws in flawed.items()
        for flaw in flaws
    ]
    rules = tuple(_rule(each) for each in proposal.rules)
    reached: dict[controls.Rule, str | None] = {}
    for index, rule in enumerate(rules):
        if rule.calendar is None or rule.calendar in flawed:
            continue
        calendar = calendars.get(rule.calendar)
        if calendar is None:
            why: str | None = f"there is no calendar {rule.calendar!r} among `calendars`"
        else:
            alike = structs.replace(rule, when=controls.When(), warn_at=())
            if alike not in reached:
                reached[alike] = _unreachable(rule, calendar, ms(now))
            why = reached[alike]
        if why is not None:
            problems.append(FieldProblem(field=f"rules.{index}.calendar", why=why))
    if problems:
        raise wrong_fields(problems)
    return Proposed(rules, calendars)


def stored(policy: Document) -> PolicyVersion:
    """A version as stored (see `repositories.policies`). Raises NewerError where only a later version can read it."""
    return PolicyVersion(
        brand=policy["brand"],
        version=policy["version"],
        effective_from=policy["effective_from"],
        rules=read_whole(policy["rules"], tuple[controls.Rule, ...]),
        calendars=read_whole(policy.get("calendars", {}), dict[str, Calendar]),
    )


def _rule(rule: Rule) -> controls.Rule:
    return controls.Rule(
        when=msgspec.convert(rule.when.model_dump(exclude_none=True), controls.When),
        target_seconds=rule.target_seconds,
        calendar=rule.calendar,
        warn_at=tuple(rule.warn_at),
        escalate_after_seconds=tuple(rule.escalate_after_seconds),
        automatic_answers=rule.automatic_answers,
    )


def _unreachable(rule: controls.Rule, calendar: Calendar, now: int) -> str | None:
    """Why a clock by this rule would never run out, if so: with the overrides, or once they are over."""
    if rule.target_seconds is None:
        return None
    for each in (calendar, structs.replace(calendar, overrides={})):
        terms = Terms(rule, 0, 0, each)
        try:
            terms.escalations(terms.due(now))
        except CalendarError as error:
            return f"the target cannot be reached: {error}"
    return None
