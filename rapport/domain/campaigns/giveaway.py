"""Who takes part in a giveaway: valid entries with what fulfilled each rule, and refused ones with the reasons.

A function of the facts alone: their order makes no difference, and late ones end in the same as those in time. One
follower (a platform and an id there) has one entry; what else would be one is counted as a duplicate.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from rapport.domain.campaigns.campaign import (
    SAID,
    CampaignFact,
    Change,
    Scope,
    Standing,
    concerns,
    has_word,
    standings,
    within,
)

RequirementKind: TypeAlias = Literal["comment", "share", "follow", "entry"]
Reason: TypeAlias = Literal[
    "bot", "staff", "blocked", "too_new", "too_early", "too_late", "taken_back",
    "word_missing", "no_comment", "not_shared", "not_following", "no_entry",
]  # fmt: skip
ACTS = frozenset({"comment", "mention", "share", "follow", "entry"})
"""What a giveaway looks at; `block` beside it."""

_LACKING: dict[RequirementKind, Reason] = {
    "comment": "no_comment",
    "share": "not_shared",
    "follow": "not_following",
    "entry": "no_entry",
}

Who: TypeAlias = tuple[str, str]
"""A follower: platform, and id there."""


class Requirement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A comment (with a word in it), a share of a post, a follow that holds at the end, or an entry interaction."""

    kind: RequirementKind
    word: str | None = None


class Rules(Struct, frozen=True, kw_only=True):
    """What makes a valid entry: all of the requirements, or any of them."""

    match: Literal["all", "any"] = "all"
    requirements: tuple[Requirement, ...]
    since_before_start: bool = False
    """Only who had a relationship with the brand before the campaign began."""


class Known(NamedTuple):
    """What is known of a follower besides the facts."""

    first_seen: datetime | None = None
    bot: bool = False


class Fulfilled(NamedTuple):
    """The interaction that fulfilled a requirement, by the requirement's place."""

    requirement: int
    interaction: str
    at: datetime


class Entry(Struct, frozen=True, kw_only=True):
    """One follower's entry. It is valid where there are no `reasons` against it."""

    platform: str
    follower: str
    at: datetime
    """When the last of what it needs was there; of a refused one, when the last of it was done."""
    reasons: tuple[Reason, ...]
    fulfilled: tuple[Fulfilled, ...]
    duplicates: int
    """How many more interactions would each have been an entry too."""
    objects: tuple[str, ...]
    """The things that it rests on, or would: what happens to one of them may change it."""


def entries(
    scope: Scope,
    rules: Rules,
    facts: Iterable[CampaignFact],
    changes: Iterable[Change],
    known: Mapping[Who, Known],
    now: datetime,
) -> list[Entry]:
    """Everybody who takes part as of `now`, or tries to; by platform and id."""
    of_follower: dict[Who, list[CampaignFact]] = {}
    for fact in facts:
        of_follower.setdefault((fact.platform, fact.follower), []).append(fact)
    about: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        about.setdefault((change.platform, change.object), []).append(change)
    found = []
    for who in sorted(of_follower):
        its = of_follower[who]
        things = {(fact.platform, fact.object) for fact in its}
        its_changes = [each for thing in things for each in about.get(thing, ())]
        entry = judge(scope, rules, its, its_changes, known.get(who, Known()), now)
        if entry is not None:
            found.append(entry)
    return found


def judge(
    scope: Scope, rules: Rules, facts: Sequence[CampaignFact], changes: Iterable[Change], known: Known, now: datetime
) -> Entry | None:
    """The entry of the one follower whose facts these are; None for who did nothing about the campaign."""
    held = [each for each in standings(scope, facts, changes) if each.fact.at <= now]
    acts = [each for each in held if _enters(scope, rules, each)]
    if not acts:
        return None
    as_of = min(scope.until, now)
    fulfilled: list[Fulfilled] = []
    lacking: list[Reason] = []
    duplicates = 0
    for place, requirement in enumerate(rules.requirements):
        if requirement.kind == "follow":
            following = _following(scope, facts, as_of)
            if following is None:
                lacking.append("not_following")
            else:
                fulfilled.append(Fulfilled(place, following.id, following.at))
            continue
        some = [each for each in acts if _is(requirement, each)]
        good = [each for each in some if not _against(scope, requirement, each)]
        if good:
            fulfilled.append(Fulfilled(place, good[0].fact.id, good[0].fact.at))
            duplicates += len(good) - 1
        else:
            lacking += [_against(scope, requirement, each)[0] for each in some] or [_LACKING[requirement.kind]]
    missing = lacking if rules.match == "all" or not fulfilled else []
    reasons = (*_person(scope, rules, facts, known, as_of), *missing)
    return Entry(
        platform=facts[0].platform,
        follower=facts[0].follower,
        at=_entered(rules, fulfilled) if not reasons else max(each.fact.at for each in acts),
        reasons=tuple(dict.fromkeys(reasons)),
        fulfilled=tuple(fulfilled),
        duplicates=duplicates,
        objects=tuple(dict.fromkeys(each.fact.object for each in acts)),
    )


def follow_enters(rules: Rules) -> bool:
    """Whether a follow is an entry by itself, so that who follows takes part."""
    kinds = {each.kind for each in rules.requirements}
    return kinds == {"follow"} or (rules.match == "any" and "follow" in kinds)


def wanted(scope: Scope, rules: Rules, fact: CampaignFact, text: str | None) -> bool:
    """Whether a fact, reading `text`, makes its follower take part, or try to."""
    if fact.kind == "follow":
        return follow_enters(rules) and _of_accounts(scope, fact) and within(scope, fact.at)
    kinds = {each.kind for each in rules.requirements}
    return _kind(fact.kind) in kinds and concerns(scope, fact, text)


def _enters(scope: Scope, rules: Rules, standing: Standing) -> bool:
    fact = standing.fact
    return any(wanted(scope, rules, fact, text) for text in {fact.text, standing.text, standing.newest})


def _kind(kind: str) -> str:
    return "comment" if kind in SAID else kind


def _is(requirement: Requirement, standing: Standing) -> bool:
    return _kind(standing.fact.kind) == requirement.kind


def _against(scope: Scope, requirement: Requirement, standing: Standing) -> list[Reason]:
    """Why something that was done does not fulfil a requirement of its kind, the most telling first."""
    found: list[Reason] = []
    if standing.taken_back:
        found.append("taken_back")
    if standing.fact.at < scope.starts_at:
        found.append("too_early")
    if standing.fact.at > scope.until:
        found.append("too_late")
    word, texts = requirement.word, (standing.text, standing.newest)
    if word is not None and not all(has_word(word, text) for text in texts):
        found.append("word_missing")
    # What was on the campaign by its hashtag alone has to keep it.
    elif not all(concerns(scope, standing.fact, text) for text in texts):
        found.append("taken_back")
    return found


def _of_accounts(scope: Scope, fact: CampaignFact) -> bool:
    return not scope.accounts or fact.account in scope.accounts


def _following(scope: Scope, facts: Iterable[CampaignFact], as_of: datetime) -> CampaignFact | None:
    """The follow that holds at `as_of`, the latest word on each record deciding; None where there is none.

    Somebody can have several records of following one account, and follows as long as one of them stands. Taking back
    what nobody has heard of takes back every follow of the account that came before.
    """
    latest: dict[tuple[str, str], CampaignFact] = {}
    told = [each for each in facts if each.kind == "follow" and each.at <= as_of and _of_accounts(scope, each)]
    for each in told:
        known = latest.get((each.account, each.object))
        if known is None or (known.at, known.id) < (each.at, each.id):
            latest[each.account, each.object] = each
    made = {(each.account, each.object) for each in told if not each.undo}
    over = [each for key, each in latest.items() if each.undo and key not in made]
    holding = [
        each
        for each in latest.values()
        if not each.undo
        and not any(end.account == each.account and (end.at, end.id) > (each.at, each.id) for end in over)
    ]
    return min(holding, key=lambda each: (each.at, each.id), default=None)


def _person(scope: Scope, rules: Rules, facts: Sequence[CampaignFact], known: Known, as_of: datetime) -> list[Reason]:
    found: list[Reason] = []
    if known.bot or any(each.bot for each in facts):
        found.append("bot")
    if any(each.staff for each in facts):
        found.append("staff")
    blocks = [each for each in facts if each.kind == "block" and each.at <= as_of]
    if blocks and not max(blocks, key=lambda each: (each.at, each.id)).undo:
        found.append("blocked")
    if rules.since_before_start and (known.first_seen is None or known.first_seen >= scope.starts_at):
        found.append("too_new")
    return found


def _entered(rules: Rules, fulfilled: Sequence[Fulfilled]) -> datetime:
    times = [each.at for each in fulfilled]
    return max(times) if rules.match == "all" else min(times)
