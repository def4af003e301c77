"""Whether a rule says anything: a rule that everybody matches, or nobody can match, is not a segment.

Decided without followers, by looking for one who could match and one who could not. What a follower can be is cut into
the few cases that the rule tells apart: of a number those around each value that it is compared with, of platforms,
words and campaigns whether somebody is there, wrote or entered them. Cases are tried one field after the other, and
the rest is left open as soon as the outcome is certain.

Whoever is found could exist but for what the fields have to do with each other (a stage follows from the scores), so
what is refused says nothing for certain, and some of what says nothing is not refused.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from rapport.domain.communities.community import (
    COUNTS,
    FIELDS,
    HIGHEST_SCORE,
    All,
    Any,
    CommunityRule,
    Condition,
    Not,
    compared,
    conditions,
)
from rapport.domain.relationships.relationship import STAGES
from rapport.domain.words import implies

MOST_STEPS = 2_000
"""A tenth of a second. Only rules that tangle the same fields again and again take more."""

Question: TypeAlias = tuple[str, str]
"""A field, and where each of its values is asked for by itself, the value."""
Case: TypeAlias = int | bool
Sense: TypeAlias = Literal["some", "everyone", "nobody", "tangled"]

_ORDERED = frozenset({"last seen", "first seen"})


class _TangledError(Exception):
    pass


def sense(rule: CommunityRule) -> Sense:
    """Who a rule can match; `tangled` where that cannot be decided in time."""
    questions = _cases(rule)
    try:
        if not _found(rule, questions, False):
            return "everyone"
        return "some" if _found(rule, questions, True) else "nobody"
    except _TangledError:
        return "tangled"


def _cases(rule: CommunityRule) -> dict[Question, list[Case]]:
    """What a rule asks, in its order, and the cases of each that it tells apart."""
    asked: dict[Question, list[Condition]] = {}
    for each in conditions(rule):
        asked.setdefault(_question(each), []).append(each)
    days = {int(each.value) for each in conditions(rule) if FIELDS[each.field].kind == "days"}
    found: dict[Question, list[Case]] = {}
    for question, some in asked.items():
        match FIELDS[question[0]].kind:
            case "stage":
                found[question] = list(range(len(STAGES)))
            case "days":
                # The same for both, because who was seen last some days ago was first seen no later.
                found[question] = sorted({0, *days, *(each + 1 for each in days)})
            case "score" | "count":
                values = {int(each.value) + step for each in some for step in (-1, 0, 1)}
                highest = max(values) if question[0] in COUNTS else HIGHEST_SCORE
                found[question] = sorted({0, highest, *(each for each in values if 0 <= each <= highest)})
            case _:
                found[question] = [True, False]
        if question[0] not in _ORDERED or len(_ORDERED & {field for field, _ in asked}) == 1:
            # Of cases that make no difference, one.
            telling = {tuple(_holds(each, case) for each in some): case for case in found[question]}
            found[question] = list(telling.values())
    return found


def _question(one: Condition) -> Question:
    # A person who is linked is on several platforms.
    alone = FIELDS[one.field].kind in ("platform", "words", "campaign")
    return one.field, str(one.value) if alone else ""


def _found(rule: CommunityRule, questions: Mapping[Question, list[Case]], wanted: bool) -> bool:
    """Whether a follower could exist whom the rule matches, or does not match."""
    steps = iter(range(MOST_STEPS))

    def search(chosen: dict[Question, Case], left: list[Question]) -> bool:
        if next(steps, None) is None:
            raise _TangledError
        outcome = _outcome(rule, chosen)
        if outcome is not None:
            return outcome == wanted
        question, *others = left
        return any(
            search({**chosen, question: case}, others)
            for case in questions[question]
            if all(_go_together((question, case), other) for other in chosen.items())
        )

    return search({}, list(questions))


def _go_together(one: tuple[Question, Case], other: tuple[Question, Case]) -> bool:
    """Whether two cases can be of one follower."""
    for ((field, value), case), ((another, its), its_case) in ((one, other), (other, one)):
        if (field, another) == ("last seen", "first seen") and case > its_case:
            return False
        # Whoever wrote “cold coffee” wrote “coffee”.
        if field == another == "words" and case and not its_case and implies(value, its):
            return False
    return True


def _outcome(rule: CommunityRule, chosen: Mapping[Question, Case]) -> bool | None:
    """Whether a rule matches a follower when only `chosen` is known; None if that depends on the rest."""
    match rule:
        case Not():
            inner = _outcome(rule.of, chosen)
            return None if inner is None else not inner
        case All() | Any():
            decisive = isinstance(rule, Any)
            outcomes = [_outcome(each, chosen) for each in rule.of]
            if decisive in outcomes:
                return decisive
            return None if None in outcomes else not decisive
    case = chosen.get(_question(rule))
    return None if case is None else _holds(rule, case)


def _holds(one: Condition, case: Case) -> bool:
    match FIELDS[one.field].kind:
        case "stage":
            return compared(int(case), one.comparison, STAGES.index(str(one.value)))
        case "score" | "count":
            return compared(int(case), one.comparison, int(one.value))
        case "days":
            return (int(case) <= int(one.value)) == (one.comparison == "within")
        case "bot":
            return case == (one.value == "yes")
    return case == (one.comparison in ("is", "wrote", "entered"))


def culprit(rule: CommunityRule, found: Sense) -> CommunityRule:
    """The smallest part by which alone a whole rule matches everyone or nobody."""
    for each in _parts(rule, found):
        if sense(each) == found:
            return culprit(each, found)
    return rule


def _parts(rule: CommunityRule, found: Sense) -> Iterator[CommunityRule]:
    joined = Any if found == "everyone" else All
    if isinstance(rule, joined):
        yield from rule.of
