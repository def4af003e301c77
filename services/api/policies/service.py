"""Policies as the API returns them, and rules in words."""

import msgspec

from rapport.contracts import controls
from rapport.contracts.controls import When
from rapport.domain.figures import listed, noun
from rapport.domain.platforms import platform_name
from rapport.domain.policies.policy import DEFAULT_RULE, DEFAULT_VERSION
from services.api.policies.documents import PolicyDocument
from services.api.policies.repository import stored
from services.api.policies.schemas import Calendar, Policy, Rule


def rule_shown(set_by: controls.PolicyRule) -> Rule:
    """A rule as it was sent."""
    return Rule.model_validate(msgspec.to_builtins(set_by))


def policy_shown(document: PolicyDocument, in_force: int | None) -> Policy:
    """A stored version. `in_force` is the number of the version in force."""
    version = stored(document)
    return Policy(
        version=version.version,
        effective_from=version.effective_from,
        in_force=version.version == in_force,
        rules=[rule_shown(each) for each in version.rules],
        calendars={
            name: Calendar.model_validate(msgspec.to_builtins(calendar)) for name, calendar in version.calendars.items()
        },
    )


def default_policy() -> Policy:
    """What applies until a brand has rules of its own."""
    return Policy(
        version=DEFAULT_VERSION, effective_from=None, in_force=True, rules=[rule_shown(DEFAULT_RULE)], calendars={}
    )


_STAGES = {
    "new": "are new",
    "knows": "know the brand",
    "likes": "like the brand",
    "trusts": "trust the brand",
    "buys": "buy from it",
}


_KINDS = {"comment": "comments", "mention": "mentions", "message": "private messages", None: "everything"}


def applies_to(when: When) -> str:
    """What a rule is about: `comments on Bluesky with the word “refund”`."""
    parts = [_KINDS[when.kind]]
    if when.platform is not None:
        parts.append(f"on {platform_name(when.platform)}")
    if when.account is not None:
        parts.append(f"to the account {when.account}")
    if when.stage:
        parts.append(f"from followers who {listed([_STAGES[stage] for stage in when.stage], 'or')}")
    if when.words:
        parts.append(f"with the {noun(len(when.words), 'word')} {listed([f'“{word}”' for word in when.words], 'or')}")
    if when.bot is not None:
        parts.append("written by bots" if when.bot else "not written by bots")
    if when.empty is not None:
        parts.append("of nothing but a reaction" if when.empty else "of more than a reaction")
    return " ".join(parts)
