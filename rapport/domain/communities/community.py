"""Communities: a rule says which followers belong to one, and until when that stays so if nothing happens.

A rule is conditions joined by "all of", "any of" and "not". A condition compares one field with one value, in words
that are the same in its text (`text.py`), in JSON and in a form. All times are UTC milliseconds.
"""

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from rapport.contracts.scoring import Scoring
from rapport.domain import words
from rapport.domain.policies.policy import says
from rapport.domain.relationships.decay import DAY_MS, LANDMARK, rank_of
from rapport.domain.relationships.relationship import DIMENSIONS, STAGES, score, stage, stage_until

COUNTS = {
    "comments": "comment",
    "mentions": "mention",
    "messages": "message",
    "replies": "reply",
    "reactions": "reaction",
    "shares": "share",
    "follows": "follow",
    "votes": "vote",
    "entries": "entry",
    "purchases": "purchase",
}
"""What is counted of a follower, and the kind of interaction that it is; `replies` are the brand's to the follower."""

NUMBERS = (">", ">=", "<", "<=", "=", "!=")
HIGHEST_SCORE = 100
HIGHEST_COUNT = 1_000_000_000
MOST_DAYS = 3_650
LONGEST_WORDS = 100
MOST_CONDITIONS = 30
MOST_DEEP = 8
"""More of either is a rule that nobody can read, and would take long to reason about."""

FieldKind: TypeAlias = Literal["platform", "stage", "score", "count", "days", "words", "campaign", "bot"]
Part: TypeAlias = Literal["field", "comparison", "value"]


class Field(Struct, frozen=True):
    """What a condition can be about, and how it can be compared."""

    kind: FieldKind
    comparisons: tuple[str, ...]


FIELDS: dict[str, Field] = {
    "platform": Field("platform", ("is", "is not")),
    "stage": Field("stage", ("is", "is not", "is at least", "is at most")),
    **{name: Field("score", NUMBERS) for name in DIMENSIONS},
    **{name: Field("count", NUMBERS) for name in COUNTS},
    "last seen": Field("days", ("within", "more than")),
    "first seen": Field("days", ("within", "more than")),
    "words": Field("words", ("wrote", "never wrote")),
    "campaign": Field("campaign", ("entered", "never entered")),
    "bot": Field("bot", ("is",)),
}

PLATFORM = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_CAMPAIGN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NO_WORDS = re.compile('["“”\x00-\x1f\ud800-\udfff]')
_WHOLE = re.compile(r"[-+]?\d{1,15}")


class _Node(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower):
    pass


class Condition(_Node, frozen=True):
    """One field compared with one value."""

    field: str
    comparison: str
    value: int | str


class All(_Node, frozen=True):
    """Every one of these."""

    of: tuple["CommunityRule", ...]


class Any(_Node, frozen=True):
    """At least one of these."""

    of: tuple["CommunityRule", ...]


class Not(_Node, frozen=True):
    """Not this."""

    of: "CommunityRule"


CommunityRule: TypeAlias = Condition | All | Any | Not


class Facts(Struct, frozen=True, kw_only=True):
    """What a rule can ask of a follower; of a person who is linked, of all that the person's followers did."""

    platforms: Collection[str]
    sums: Mapping[str, float]
    """Landmark sums by dimension, the person's."""
    last_purchase_at: int | None
    scoring: Scoring
    counts: Mapping[str, int]
    first_seen: int
    last_seen: int
    bot: bool = False
    campaigns: Collection[str] = ()
    """Those that were entered or answered."""
    texts: Collection[str] = ()
    """What was written, as far as it is kept."""


class PartError(ValueError):
    """A condition that makes no sense, by one of its parts."""

    def __init__(self, part: Part, why: str) -> None:
        super().__init__(why)
        self.part = part
        self.why = why


def condition(field: str, comparison: str, value: int | str) -> Condition:
    """A condition that makes sense, its value as it is stored. Raises PartError."""
    known = FIELDS.get(field)
    if known is None:
        raise PartError("field", f"“{field}” is not a field{meant(field, FIELDS)}")
    if comparison not in known.comparisons:
        raise PartError("comparison", f"“{field}” is compared by {_listed(known.comparisons)}, not by “{comparison}”")
    return Condition(field, comparison, _value(field, known.kind, value))


def _value(field: str, kind: FieldKind, value: int | str) -> int | str:
    if kind in ("score", "count", "days"):
        return _number(field, kind, value)
    if not isinstance(value, str):
        wanted = {
            "stage": "a stage",
            "platform": "a platform’s name",
            "campaign": "a campaign’s id",
            "bot": "yes or no",
            "words": f"words, and those stand in quotes: “{value}”",
        }[kind]
        raise PartError("value", f"{value} is a number, and “{field}” is compared with {wanted}")
    said = " ".join(value.split())
    if kind == "words":
        if _NO_WORDS.search(value) or not said or len(said) > LONGEST_WORDS:
            raise PartError("value", f"a word or phrase has 1 to {LONGEST_WORDS} characters, and no quotes in it")
        if why := words.flaw(said):
            raise PartError("value", why)
        return said
    said = words.fold(said)
    if kind == "stage" and said not in STAGES:
        raise PartError("value", f"“{value}” is not a stage; the stages are {_listed(STAGES)}{meant(said, STAGES)}")
    if kind == "bot" and said not in ("yes", "no"):
        raise PartError("value", f"“bot” is compared with yes or no, not with “{value}”")
    if kind == "platform" and not PLATFORM.fullmatch(said):
        raise PartError("value", f"“{value}” can be no platform’s name")
    if kind == "campaign" and not _CAMPAIGN.fullmatch(said):
        raise PartError("value", f"“{value}” can be no campaign’s id")
    return said


def _number(field: str, kind: FieldKind, value: int | str) -> int:
    lowest, highest = {"score": (0, HIGHEST_SCORE), "count": (0, HIGHEST_COUNT), "days": (1, MOST_DAYS)}[kind]
    what = f"{'a number of days' if kind == 'days' else 'a whole number'} from {lowest} to {highest:,}"
    if isinstance(value, str):
        raise PartError("value", f"“{field}” is compared with {what}, not with “{value}”")
    if not lowest <= value <= highest:
        raise PartError("value", f"“{field}” is compared with {what}, not with {value}")
    return value


def whole(text: str) -> int | None:
    """A whole number that was written; None where it is none, or one that nothing here can be."""
    return int(text) if _WHOLE.fullmatch(text) else None


def meant(word: str, known: Collection[str]) -> str:
    """`; did you mean “trust”?`, where something is like the word; else nothing."""
    close = difflib.get_close_matches(words.fold(word), known, 1)
    return f"; did you mean “{close[0]}”?" if close else ""


def _listed(words: Collection[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def conditions(rule: CommunityRule) -> Iterator[Condition]:
    """The conditions of a rule, from left to right."""
    if isinstance(rule, Condition):
        yield rule
    else:
        for each in (rule.of,) if isinstance(rule, Not) else rule.of:
            yield from conditions(each)


def values(rule: CommunityRule, field: str) -> frozenset[str]:
    """What a rule compares a field with: its campaigns, or its words."""
    return frozenset(str(each.value) for each in conditions(rule) if each.field == field)


def depth(rule: CommunityRule) -> int:
    """How deep a rule is nested; 1 for a condition."""
    if isinstance(rule, Condition):
        return 1
    return 1 + max((depth(each) for each in ((rule.of,) if isinstance(rule, Not) else rule.of)), default=0)


def matches(rule: CommunityRule, facts: Facts, now: int) -> bool:
    """Whether a follower belongs to the community at `now`."""
    match rule:
        case All():
            return all(matches(each, facts, now) for each in rule.of)
        case Any():
            return any(matches(each, facts, now) for each in rule.of)
        case Not():
            return not matches(rule.of, facts, now)
    return holds(rule, facts, now)


def holds(one: Condition, facts: Facts, now: int) -> bool:
    """Whether one condition is true of a follower at `now`."""
    match FIELDS[one.field].kind:
        case "platform":
            return (one.value in facts.platforms) == (one.comparison == "is")
        case "stage":
            held = stage(facts.sums, facts.last_purchase_at, now, facts.scoring)
            return compared(STAGES.index(held), one.comparison, STAGES.index(str(one.value)))
        case "score":
            return compared(score(facts.sums.get(one.field, 0.0), one.field, now, facts.scoring), *_than(one))
        case "count":
            return compared(facts.counts.get(COUNTS[one.field], 0), *_than(one))
        case "days":
            return (now - _seen(one, facts) <= int(one.value) * DAY_MS) == (one.comparison == "within")
        case "words":
            return any(says(text, (str(one.value),)) for text in facts.texts) == (one.comparison == "wrote")
        case "campaign":
            return (one.value in facts.campaigns) == (one.comparison == "entered")
        case "bot":
            return facts.bot == (one.value == "yes")


def compared(found: int, comparison: str, value: int) -> bool:
    """A number against a number."""
    match comparison:
        case ">":
            return found > value
        case ">=" | "is at least":
            return found >= value
        case "<":
            return found < value
        case "<=" | "is at most":
            return found <= value
        case "!=" | "is not":
            return found != value
    return found == value


def _than(one: Condition) -> tuple[str, int]:
    return one.comparison, int(one.value)


def _seen(one: Condition, facts: Facts) -> int:
    return facts.last_seen if one.field == "last seen" else facts.first_seen


def until(rule: CommunityRule, facts: Facts, now: int) -> int | None:
    """The first moment after `now` at which `matches` says something else if nothing happens; None for never."""
    held = matches(rule, facts, now)
    at: int | None = now
    while at is not None:
        at = min((turn for each in conditions(rule) if (turn := _turns(each, facts, at)) is not None), default=None)
        if at is not None and matches(rule, facts, at) != held:
            return at
    return None


def _turns(one: Condition, facts: Facts, now: int) -> int | None:
    """The first moment after `now` at which time alone makes a condition true or false."""
    match FIELDS[one.field].kind:
        case "days":
            over = _seen(one, facts) + int(one.value) * DAY_MS + 1
            return over if over > now else None
        case "stage":
            held, at = holds(one, facts, now), stage_until(facts.sums, facts.last_purchase_at, now, facts.scoring)
            while at is not None and holds(one, facts, at) == held:
                at = stage_until(facts.sums, facts.last_purchase_at, at, facts.scoring)
            return at
        case "score":
            # Scores only fall. Where one stands at the value or above it, it falls below both it and the next higher.
            value = int(one.value)
            steps = {">": (value + 1,), "<=": (value + 1,), ">=": (value,), "<": (value,)}
            falls = (_falls(one.field, each, facts, now) for each in steps.get(one.comparison, (value + 1, value)))
            return min((each for each in falls if each is not None), default=None)
    return None


def _falls(dimension: str, below: int, facts: Facts, now: int) -> int | None:
    """The first moment at which a score that is at least `below` is not any more."""

    def is_below(at: int) -> bool:
        return score(brought, dimension, at, facts.scoring) < below

    brought = facts.sums.get(dimension, 0.0)
    if not 0 < below <= HIGHEST_SCORE or is_below(now):
        return None
    # A score is rounded, so it is another one half a point below. Solved for when the sum is worth that.
    worth = -facts.scoring.scale[dimension] * math.log2(1 - (below - 0.5) / HIGHEST_SCORE)
    half_life = facts.scoring.half_life_days[dimension] * DAY_MS
    at = max(now + 1, LANDMARK + int((rank_of(brought) - rank_of(worth)) * half_life))
    # The formula is exact but for the last bits of a double.
    while at - 1 > now and is_below(at - 1):
        at -= 1
    while not is_below(at):
        at += 1
    return at
