"""Rules of communities and facts about followers, as tests draw them."""

from typing import Any as Anything

from hypothesis import strategies as st

from rapport.domain.communities.community import (
    COUNTS,
    FIELDS,
    All,
    Any,
    CommunityRule,
    Condition,
    Facts,
    Not,
    condition,
)
from rapport.domain.relationships.decay import DAY_MS, LANDMARK, weight_at
from rapport.domain.relationships.relationship import DEFAULT, DIMENSIONS, HALF_LIFE_DAYS, STAGES

NOW = LANDMARK + 700 * DAY_MS

PLATFORMS = ("bluesky", "instagram", "not", "500px", "x.com")

WORDS = ("coffee", "Cold Coffee", "naïve", "コーヒー", "50 %", "wrote")

_values: dict[str, st.SearchStrategy[Anything]] = {
    "platform": st.sampled_from(PLATFORMS),
    "stage": st.sampled_from(STAGES),
    "score": st.integers(0, 100),
    "count": st.integers(0, 8),
    "days": st.integers(1, 400),
    "words": st.sampled_from(WORDS),
    "campaign": st.sampled_from(("spring-giveaway", "2026", "not")),
    "bot": st.sampled_from(("yes", "no")),
}


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(sorted(FIELDS)))
    field = FIELDS[name]
    return condition(name, draw(st.sampled_from(field.comparisons)), draw(_values[field.kind]))


def _groups(inner: st.SearchStrategy[CommunityRule]) -> st.SearchStrategy[CommunityRule]:
    some = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.builds(All, some) | st.builds(Any, some) | st.builds(Not, inner)


rules: st.SearchStrategy[CommunityRule] = st.recursive(_conditions(), _groups, max_leaves=8)

facts = st.builds(
    lambda platforms, worth, bought, counts, first, since, bot, campaigns, texts: Facts(
        platforms=platforms,
        sums={name: each * weight_at(NOW, HALF_LIFE_DAYS[name]) for name, each in worth.items()},
        last_purchase_at=bought,
        scoring=DEFAULT,
        counts=counts,
        first_seen=first,
        last_seen=min(NOW, first + since),
        bot=bot,
        campaigns=campaigns,
        texts=texts,
    ),
    st.sets(st.sampled_from(PLATFORMS), min_size=1, max_size=2),
    st.fixed_dictionaries({name: st.floats(-5, 40) for name in DIMENSIONS}),
    st.none() | st.integers(NOW - 400 * DAY_MS, NOW),
    st.dictionaries(st.sampled_from(sorted(COUNTS.values())), st.integers(0, 8)),
    st.integers(NOW - 500 * DAY_MS, NOW),
    st.integers(0, 500 * DAY_MS),
    st.booleans(),
    st.sets(st.sampled_from(("spring-giveaway", "2026"))),
    st.lists(st.sampled_from(("Is there COLD coffee?", "naïve", "アイスコーヒー", "")), max_size=2),
)
