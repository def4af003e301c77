"""What a post brought, counted from all of its facts at once: the figures that are kept bit by bit must agree."""

from collections.abc import Iterable

from rapport.domain.mix.posts import BROUGHT, PostFact, standing


def brought(facts: Iterable[PostFact], removals: Iterable[PostFact]) -> dict[str, int]:
    """How many comments, reactions and shares stand."""
    counts = dict.fromkeys(BROUGHT.values(), 0)
    for each in standing(facts, removals):
        counts[BROUGHT[each.kind]] += 1
    return counts
