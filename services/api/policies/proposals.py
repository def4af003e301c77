"""Checks a proposed policy and converts it to the structs that the scorer reads."""

from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import structs

from rapport.contracts import controls
from rapport.contracts.business_hours import Calendar
from rapport.domain.policies import business_time
from rapport.domain.policies.business_time import CalendarError
from rapport.domain.policies.policy import Terms
from rapport.domain.times import ms
from services.api.http.problems import FieldProblem, wrong_fields
from services.api.policies.schemas import Proposal, Rule


class Proposed(NamedTuple):
    """Checked rules and calendars."""

    rules: tuple[controls.PolicyRule, ...]
    calendars: dict[str, Calendar]


def checked(proposal: Proposal, now: datetime) -> Proposed:
    """The proposal as structs. Raises ProblemError (422) with every wrong field and why.

    It searches years ahead for due times, so it can take a second if hours are few and targets long.
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
    reached: dict[controls.PolicyRule, str | None] = {}
    for index, rule in enumerate(rules):
        if rule.calendar is None or rule.calendar in flawed:
            continue
        calendar = calendars.get(rule.calendar)
        if calendar is None:
            why: str | None = f"there is no calendar {rule.calendar!r} in `calendars`"
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


def _rule(rule: Rule) -> controls.PolicyRule:
    return controls.PolicyRule(
        when=msgspec.convert(rule.when.model_dump(exclude_none=True), controls.When),
        target_seconds=rule.target_seconds,
        calendar=rule.calendar,
        warn_at=tuple(rule.warn_at),
        escalate_after_seconds=tuple(rule.escalate_after_seconds),
        automatic_answers=rule.automatic_answers,
    )


def _unreachable(rule: controls.PolicyRule, calendar: Calendar, now: int) -> str | None:
    """Why a clock under this rule would never run out, if so: with the overrides, or after the last of them."""
    if rule.target_seconds is None:
        return None
    for each in (calendar, structs.replace(calendar, overrides={})):
        terms = Terms(rule, 0, 0, each)
        try:
            terms.escalations(terms.due(now))
        except CalendarError as error:
            return f"the target cannot be reached: {error}"
    return None
