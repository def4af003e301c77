"""What a post brought, counted from all of its facts at once: the figures that are kept bit by bit must agree."""

from collections.abc import Iterable

from rapport.domain.published import BROUGHT, Fact, standing


def brought(facts: Iterable[Fact], removals: Iterable[Fact]) -> dict[str, int]:
    """How many comments, reactions and shares stand."""
    counts = dict.fromkeys(BROUGHT.values(), 0)
    for each in standing(facts, removals):
        counts[BROUGHT[each.kind]] += 1
    return counts
