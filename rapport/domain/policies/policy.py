"""Which rule sets an exchange's clock, and what times follow from it. Times and durations are milliseconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from rapport.contracts.business_hours import Calendar
from rapport.contracts.controls import PolicyRule, PolicyVersion, When
from rapport.domain import words as matching
from rapport.domain.policies import business_time
from rapport.domain.times import OUT_OF_RANGE, in_range, ms, utc

DEFAULT_RULE = PolicyRule(target_seconds=24 * 3600)
"""Answer within 24 hours, with one warning when three quarters of them are over."""
DEFAULT_VERSION = 0


@dataclass(frozen=True)
class Subject:
    """What a rule looks at: a comment, and the stage of its follower, None where it is not known (yet)."""

    at: int
    platform: str
    kind: str
    account: str
    text: str | None = None
    bot: bool = False
    empty: bool = False
    stage: str | None = None


@dataclass(frozen=True)
class Terms:
    """What applies to one exchange for good: the rule, where it stands (`version`, `index`), and its calendar."""

    rule: PolicyRule
    version: int
    index: int
    calendar: Calendar | None = None
    pending: bool = False
    """A rule before this one may apply, once the follower's stage is known; until then no clock is armed."""

    @property
    def timed(self) -> bool:
        """Whether it has a clock at all."""
        return self.rule.target_seconds is not None

    def due(self, opened: int) -> int:
        """When an exchange that opened at `opened` is due. Needs a clock."""
        assert self.rule.target_seconds is not None, "asked only of what has a clock"
        return business_time.due(opened, self.rule.target_seconds * 1000, self.calendar)

    def warnings(self, opened: int) -> list[int]:
        """When its warnings are sent, in order."""
        target = (self.rule.target_seconds or 0) * 1000
        return sorted(business_time.due(opened, round(share * target), self.calendar) for share in self.rule.warn_at)

    def escalations(self, due: int) -> list[int]:
        """When an exchange due at `due` is escalated, in order."""
        return sorted(
            business_time.due(due, seconds * 1000, self.calendar) for seconds in self.rule.escalate_after_seconds
        )

    def business_seconds(self, opened: int, answered: int) -> float:
        """How long the answer took by the calendar; by the clock where there is none."""
        answered = max(opened, answered)
        if self.calendar is None:
            return (answered - opened) / 1000
        return business_time.business(opened, answered, self.calendar) / 1000


class Versioned(Protocol):
    """A version of a policy, or what stands for one."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def effective_from(self) -> datetime:
        """When it begins to apply (UTC)."""


V = TypeVar("V", bound=Versioned)


def in_force(versions: Iterable[V], at: int) -> V | None:
    """The version with the latest `effective_from` that is not after `at`; of two alike the higher."""
    return max(
        (version for version in versions if ms(version.effective_from) <= at),
        key=lambda version: (version.effective_from, version.version),
        default=None,
    )


def terms(versions: Iterable[PolicyVersion], subject: Subject) -> Terms:
    """The terms of an exchange: the first matching rule of the version in force when it opened, else the default."""
    return terms_by(in_force(versions, subject.at), subject)


def terms_by(version: PolicyVersion | None, subject: Subject) -> Terms:
    """The terms of an exchange by the version that was in force when it opened, if any was."""
    pending = False
    if version is not None:
        for index, rule in enumerate(version.rules):
            if not _applies(rule.when, subject):
                continue
            if rule.when.stage and subject.stage is None:
                pending = True
                continue
            if rule.when.stage and subject.stage not in rule.when.stage:
                continue
            calendar = version.calendars[rule.calendar] if rule.calendar is not None else None
            return Terms(rule, version.version, index, calendar, pending)
    return Terms(DEFAULT_RULE, DEFAULT_VERSION, 0, None, pending)


def check(version: PolicyVersion) -> None:
    """Raises ValueError for a version that cannot set clocks; the text names the part, and why."""
    for name, each in version.calendars.items():
        if flaws := business_time.check(each):
            raise ValueError(f"calendars.{name}.{flaws[0].where}: {flaws[0].why}")
    for index, rule in enumerate(version.rules):
        if rule.calendar is not None and rule.calendar not in version.calendars:
            raise ValueError(f"rules.{index}.calendar: there is no calendar {rule.calendar!r}")
        if rule.target_seconds is None:
            continue
        calendar = version.calendars.get(rule.calendar) if rule.calendar is not None else None
        terms = Terms(rule, version.version, index, calendar)
        try:
            due = terms.due(ms(version.effective_from))
            last = max((due, *terms.escalations(due)))
        except ValueError as error:
            raise ValueError(f"rules.{index}: the target cannot be reached: {error}") from error
        if not in_range(utc(last)):
            raise ValueError(f"rules.{index}: the target cannot be reached: its end {OUT_OF_RANGE}")


def _applies(when: When, subject: Subject) -> bool:
    """Everything but the stage."""
    return (
        when.platform in (None, subject.platform)
        and when.kind in (None, subject.kind)
        and when.account in (None, subject.account)
        and when.bot in (None, subject.bot)
        and when.empty in (None, subject.empty)
        and (not when.words or says(subject.text or "", when.words))
    )


def says(text: str, words: Iterable[str]) -> bool:
    """Whether one of the words or phrases is in the text, whole and in any case."""
    return matching.has_any(text, words)


def is_empty(text: str | None, media: Iterable[str]) -> bool:
    """Whether a comment is nothing but a reaction: a text without letter or digit, and no picture or link."""
    return text is not None and not any(media) and not any(character.isalnum() for character in text)
