"""What Meta's headers say is used, and what follows from it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.polling.api import LONGEST_WAIT_SECONDS, Budget
from services.ingest.polling.usage import FULL_PERCENT, KEPT_SECONDS, PAUSE_SECONDS, Share, Usage, share_of


def business(calls: float, minutes: float = 0, **more: float) -> dict[str, str]:
    figures = {"type": "pages", "call_count": calls, "total_cputime": 1, "total_time": 1, **more}
    told = {"44444444": [{**figures, "estimated_time_to_regain_access": minutes}]}
    return {"x-business-use-case-usage": json.dumps(told)}


@pytest.mark.parametrize(
    ("headers", "share"),
    [
        ({}, None),
        ({"x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":26}'}, Share(28, 0)),
        ({"x-page-usage": '{"call_count":2,"total_time":25.5}'}, Share(25.5, 0)),
        (business(3, total_cputime=40), Share(40, 0)),
        ({**business(3), "x-app-usage": '{"call_count":60}'}, Share(60, 0)),
        (business(110, minutes=19), Share(110, 1140)),
        (business(110, minutes=100_000), Share(110, LONGEST_WAIT_SECONDS)),
        (business(-5, minutes=-1), Share(1, 0)),
        ({"x-app-usage": "{"}, None),
        ({"x-app-usage": '{"call_count":"many"}', **business(7)}, Share(7, 0)),
        ({"x-app-usage": "[" * 60_000}, None),
        ({"x-app-usage": " " * 70_000 + "{}"}, None),
    ],
)
def test_the_highest_figure_counts(headers: dict[str, str], share: Share | None) -> None:
    assert share_of(headers) == share


@given(st.dictionaries(st.sampled_from(["x-app-usage", "x-page-usage", "x-business-use-case-usage"]), st.text() | (
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                 lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                     st.sampled_from(["call_count", "1", "estimated_time_to_regain_access"]), inner, max_size=3),
                 max_leaves=8).map(json.dumps))))  # fmt: skip
@settings(deadline=None)
def test_whatever_the_headers_say_nothing_is_raised_and_no_wait_is_long(headers: dict[str, str]) -> None:
    usage = Usage(Budget(10, 60))
    usage.heard(headers)
    assert 0 <= usage.wait() <= LONGEST_WAIT_SECONDS
    assert 0 <= usage.pause() <= LONGEST_WAIT_SECONDS


def test_it_asks_less_often_as_the_limit_comes_near_and_stops_before_it() -> None:
    at = 1_000.0
    usage = Usage(Budget(1_000, 60), lambda: at)
    slower: dict[float, Any] = {}
    for percent in (10, 55, 70, FULL_PERCENT):
        usage.heard(business(percent))
        slower[percent] = (usage.slower(), usage.wait())
    assert slower == {10: (1, 0), 55: (2, 0), 70: (4, 0), FULL_PERCENT: (4, PAUSE_SECONDS)}
    at += PAUSE_SECONDS
    assert usage.wait() == 0, "one request tells what is used by now"
    at += KEPT_SECONDS
    assert usage.slower() == 1


def test_meta_says_for_how_long_nothing_is_allowed() -> None:
    at = 1_000.0
    usage = Usage(Budget(1_000, 60), lambda: at)
    usage.heard(business(101, minutes=10))
    assert (usage.wait(), usage.pause()) == (600, 600)


def test_a_budget_holds_also_where_meta_says_nothing() -> None:
    usage = Usage(Budget(2, 60))
    usage.spend()
    assert usage.wait() == 0
    usage.spend()
    assert usage.wait() > 0
