"""Policies: rules, calendars, versions."""

from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, StringConstraints, field_validator

from rapport.contracts.business_hours import Weekday
from rapport.contracts.controls import Stage
from rapport.domain.times import FIRST_YEAR
from rapport.domain.words import flaw
from services.api.http.schemas import Input, Number, PageQuery, Utc

LONGEST_TARGET_SECONDS = 366 * 86_400
MOST_RULES = 100
MOST_WORDS = 50
MOST_STEPS = 10
"""Of warnings, and of escalations."""
MOST_CALENDARS = 20
MOST_OVERRIDES = 400
MOST_INTERVALS = 24
"""Open hours of one day."""

Seconds = Annotated[int, Field(gt=0, le=LONGEST_TARGET_SECONDS), Number]
CalendarName = Annotated[str, StringConstraints(pattern=r"^\w[\w -]{0,62}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class When(Input):
    """What a rule applies to. Absent conditions match everything. A single text stands for a list of one."""

    platform: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    kind: Literal["comment", "mention", "message"] | None = None
    account: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    stage: (
        Annotated[
            list[Stage],
            BeforeValidator(_listed),
            Field(min_length=1, max_length=10, description="One of these stages of the follower at opening time."),
        ]
        | None
    ) = None
    words: (
        Annotated[
            list[Word],
            BeforeValidator(_listed),
            Field(
                min_length=1,
                max_length=MOST_WORDS,
                description="One of these words or phrases, in any case.",
            ),
        ]
        | None
    ) = None
    bot: Annotated[bool | None, Field(description="Whether the platform marks the author as a bot.")] = None
    empty: Annotated[bool | None, Field(description="Whether it is only a reaction, such as an emoji.")] = None

    @field_validator("words")
    @classmethod
    def _sayable(cls, words: list[str] | None) -> list[str] | None:
        for word in words or ():
            if why := flaw(word):
                raise ValueError(why)
        return words


class Rule(Input):
    """How soon an exchange is due, in open seconds of `calendar` (without one, elapsed ones), and when to alert."""

    when: When = When()
    target_seconds: Annotated[Seconds | None, Field(description="Null for no clock.")]
    calendar: Annotated[CalendarName | None, Field(description="One of the version's `calendars`.")] = None
    warn_at: Annotated[
        list[Annotated[float, Field(gt=0, lt=1), Number]],
        Field(default_factory=lambda: [0.75], max_length=MOST_STEPS, description="Fractions of the target, ascending."),
    ]
    escalate_after_seconds: Annotated[
        list[Seconds],
        Field(default_factory=list, max_length=MOST_STEPS, description="After the due time, ascending."),
    ]
    automatic_answers: Annotated[bool, Field(description="Whether an automatic reply counts as an answer.")] = False

    @field_validator("warn_at", "escalate_after_seconds")
    @classmethod
    def _ascending(cls, steps: list[float]) -> list[float]:
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError("the steps have to ascend")
        return steps


Time = Annotated[str, StringConstraints(max_length=20)]
Hours = Annotated[
    list[tuple[Time, Time]],
    Field(max_length=MOST_INTERVALS, description="From and to, `HH:MM`, the last `24:00`."),
]


class Override(Input):
    """The hours of one date, instead of its weekday's. No hours mean closed all day."""

    hours: Annotated[Hours, Field(default_factory=list)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None


class Calendar(Input):
    """When somebody answers, by weekday (absent means closed) and by date."""

    timezone: Annotated[str, StringConstraints(max_length=64), Field(description="A name from the IANA database.")]
    week: dict[Weekday, Hours]
    overrides: Annotated[
        dict[Annotated[str, StringConstraints(max_length=20)], Override],
        Field(default_factory=dict, max_length=MOST_OVERRIDES, description="By date, `2026-12-24`."),
    ]


class Proposal(Input):
    """Rules and their calendars. The first rule that matches an exchange applies; without one, 24 hours do."""

    rules: Annotated[list[Rule], Field(max_length=MOST_RULES)]
    calendars: Annotated[dict[CalendarName, Calendar], Field(default_factory=dict, max_length=MOST_CALENDARS)]


class PolicyInput(Proposal):
    """A new version of a brand's policy."""

    effective_from: Annotated[Utc | None, Field(description="Default: now. Not earlier.")] = None


class Policy(BaseModel):
    """A version of a brand's policy. Version 0 is the default, until a brand has rules of its own."""

    version: int
    effective_from: AwareDatetime | None
    in_force: Annotated[bool, Field(description="Whether it applies to exchanges that open now.")]
    rules: list[Rule]
    calendars: dict[str, Calendar]


class VersionsQuery(PageQuery):
    """Which page of versions, the newest first."""


class PreviewInput(Proposal):
    """What to preview, on the exchanges opened in a period: by default the last 30 days, at most 92 days."""

    start: Annotated[Utc | None, Field(alias="from")] = None
    end: Annotated[Utc | None, Field(alias="to")] = None


Outcome = Literal["met", "missed", "open", "cancelled", "no_clock", "stage_wanted"]


class Tally(BaseModel):
    """Outcomes of some exchanges. Compliance counts only `met` and `missed`."""

    exchanges: int
    met: int
    missed: int
    open: Annotated[int, Field(description="Not answered, and not due yet.")]
    cancelled: Annotated[int, Field(description="In time, for example because the comment was deleted.")]
    without_clock: int
    stage_wanted: Annotated[int, Field(description="Still waiting for the follower's stage.")]
    compliance: Annotated[float | None, Field(description="met / (met + missed); null if both are 0.")]


class RuleFigures(Tally):
    """The exchanges that a rule would have applied to. `rule` is its index, null for the default of 24 hours."""

    rule: int | None


class Differing(BaseModel):
    """An exchange that would have had another outcome."""

    id: str
    opened_at: AwareDatetime
    old_due_at: AwareDatetime
    new_due_at: Annotated[AwareDatetime | None, Field(description="Null for no clock.")]
    old_outcome: Outcome
    new_outcome: Outcome


class Preview(BaseModel):
    """What a policy would have done, compared with the policies of that time. Without backfilled exchanges and spam."""

    start: Annotated[AwareDatetime, Field(serialization_alias="from")]
    end: Annotated[AwareDatetime, Field(serialization_alias="to")]
    current: Tally
    proposed: Tally
    rules: list[RuleFigures]
    differing: Annotated[int, Field(description="How many would have had another outcome.")]
    examples: Annotated[list[Differing], Field(description="The latest of these, at most 50.")]
    cut: Annotated[bool, Field(description="Not all exchanges of that period were judged: at most 20,000 are.")]
    notes: Annotated[list[str], Field(description="What to keep in mind about these figures.")]


Day = Annotated[date, Field(ge=date(FIRST_YEAR, 1, 1), le=date(2199, 12, 31))]


class HolidaysQuery(Input):
    """From which day to which: by default a year from today in the brand's time zone."""

    first: Annotated[Day | None, Field(alias="from")] = None
    last: Annotated[Day | None, Field(alias="to")] = None


class SkippedEvent(BaseModel):
    """An event that does not close a day, and why."""

    summary: str
    why: str


class HolidaysFound(BaseModel):
    """The holidays of a file, for a calendar's `overrides`."""

    overrides: dict[str, Override]
    skipped: Annotated[list[SkippedEvent], Field(description="At most 100.")]
