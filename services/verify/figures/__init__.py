"""The figures that the upkeep makes from the views, recomputed from the same facts and compared with what is stored.

They are compared once the views themselves are as the log has them. The upkeep keeps a figure up to date by following
what changes; here it is recomputed from all the facts at once, by the same pure functions. Nobody recomputes the
entries and answers of a campaign that was drawn or is no longer followed, so those are not compared.
"""

from collections.abc import Callable, Iterable, Iterator

from rapport.domain.relationships.answering import AFTER
from services.api.new_relationships.documents import BeginningDocument
from services.verify.figures import campaigns, communities, posts, relationships
from services.verify.figures.figure import Facts, Figure


def _ids_of(collection: str, hint: str | None = None) -> Callable[[Facts], Iterator[str]]:
    return lambda facts: facts.ids(collection, hint=hint)


def _nothing(_facts: Facts) -> Iterable[str]:
    return ()


FIGURES: tuple[Figure, ...] = (
    Figure("stage", "followers", _nothing, relationships.stages, ("stage", "stage_until")),
    Figure("person told", "linked", relationships.linked, relationships.people_told, ("told",)),
    # Those of an earlier version have one field more.
    Figure(
        "beginning",
        "beginnings",
        _ids_of("followers"),
        relationships.beginnings_of,
        tuple(BeginningDocument.__annotations__),
    ),
    Figure("day of new ones", "new_days", relationships.days, relationships.new_followers),
    Figure(
        "post",
        "posts",
        lambda facts: facts.ids("interactions", {"kind": "post"}, hint="published"),
        posts.published_posts,
    ),
    Figure("entry", "campaign_entries", campaigns.participants("giveaway"), campaigns.entries),
    Figure("answers", "survey_answers", campaigns.participants("survey"), campaigns.answers),
    Figure("tally", "campaigns", _nothing, campaigns.tallies, ("tally",)),
    Figure(
        "effect of answering",
        "answer_effects",
        lambda facts: facts.ids(
            "exchanges", {"backfilled": False, "due_at": {"$lte": facts.now - AFTER}}, hint="outcome"
        ),
        relationships.effects,
    ),
    Figure("stage after", "stage_after", _ids_of("followers"), relationships.stages_after),
    Figure(
        "week of stages",
        "stage_weeks",
        relationships.weeks,
        relationships.weeks_of_stages,
        ("followers", "after"),  # one that came to nothing stays: an older interaction moved its followers elsewhere
    ),
    Figure("plan of a post", "post_plans", posts.plans, posts.matches),
    Figure("planned post", "planned_posts", _nothing, posts.planned, ("published", "published_at")),
    Figure(
        "member",
        "community_members",
        communities.belonging,
        communities.members,
        ("brand", "community", "platform", "follower"),
    ),
    Figure("members", "communities", _nothing, communities.member_counts, ("members",)),
)
"""Each after those that it is recomputed from."""
