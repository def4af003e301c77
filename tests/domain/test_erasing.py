"""The name by which an erased person is recognised says nothing of them."""

import re

from rapport.domain.erasing import erased_name


def test_an_erased_person_is_recognised_by_a_name_that_says_nothing_of_them() -> None:
    name = erased_name("aurora", "bluesky", "did:plc:ada")
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert name == erased_name("aurora", "bluesky", "did:plc:ada")


def test_brand_platform_and_follower_all_count_and_none_runs_into_the_next() -> None:
    others = [("b", "p", "f"), ("b", "p", "g"), ("b", "q", "f"), ("c", "p", "f"), ("bp", "", "f"), ("b", "pf", "")]
    assert len({erased_name(*who) for who in others}) == len(others)
