"""What platforms charge: prices, bills, and what an account may cost before it is connected."""

from decimal import Decimal

import pytest

from rapport.domain.charges import X_PRICES, Known, Prices, bill, expected, money, prices_of

X = Prices.x()


def test_each_event_has_its_own_price_or_that_of_its_family_or_none() -> None:
    assert X.of("post.mention.create") == Decimal("0.005")
    assert X.of("profile.update.bio") == Decimal("0.005")
    assert X.of("follow.follow") == X.of("follow.unfollow") == Decimal("0.010")
    assert X.of("post.delete") == 0
    assert X.of("block.block") == X.of("mute.unmute") == Decimal("0.001")
    assert X.of("broadcast.start") is None
    assert X.of("") is None
    assert X.of("profile") is None


def test_the_agency_can_change_a_price() -> None:
    changed = Prices.x(prices_of(" like.create=0.002, block.*=0.002,"))
    assert (changed.of("like.create"), changed.of("block.unblock")) == (Decimal("0.002"), Decimal("0.002"))
    assert changed.of("post.create") == X_PRICES["post.create"]


@pytest.mark.parametrize(
    "wrong", ["like.create", "like.create=", "=1", "like.create=-1", "like.create=1e5", "LIKE=1", "a=1001", "a=0.1 b"]
)
def test_a_price_that_is_none_is_refused_and_its_place_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="entry 2"):
        prices_of(f"post.create=0.005,{wrong}")


def test_a_bill_is_exact_and_says_what_has_no_price() -> None:
    found = bill([("like.create", 7), ("post.mention.create", 3), ("broadcast.start", 2), ("like.create", 1)], X)
    assert [(line.what, line.many, line.price, line.dollars) for line in found] == [
        ("post.mention.create", 3, Decimal("0.005"), Decimal("0.015")),
        ("like.create", 8, Decimal("0.001"), Decimal("0.008")),
        ("broadcast.start", 2, None, 0),
    ]


def test_what_a_person_knows_of_the_account_comes_before_what_the_brand_had_elsewhere() -> None:
    history = {"comment": 400, "mention": 20, "post": 12}
    by_mentions = expected(Known(followers=10_000, mentions=300, history=history), X)
    by_followers = expected(Known(followers=10_000, history=history), X)
    by_history = expected(Known(history=history), X)
    assert by_mentions is not None
    assert by_followers is not None
    assert by_history is not None
    assert by_mentions.assumes[0].startswith("in a month 300 replies")
    assert by_followers.assumes[0].startswith("10,000 followers")
    assert "420 comments and mentions" in by_history.assumes[0]
    replies = by_mentions.parts[0]
    assert (replies.fewest, replies.most, replies.low, replies.high) == (300, 600, Decimal("1.5"), Decimal(3))
    assert by_mentions.parts[-1].fewest == 12, "its own posts are those that it publishes elsewhere"


@pytest.mark.parametrize(
    "known",
    [
        Known(followers=0), Known(mentions=0), Known(followers=10**9, mentions=10**9), Known(history={"comment": 1}),
        Known(followers=5, history={"post": 3}),
    ],
)  # fmt: skip
def test_the_range_is_the_sum_of_its_parts_and_never_the_wrong_way_round(known: Known) -> None:
    found = expected(known, X)
    assert found is not None
    assert found.low == sum(part.low for part in found.parts)
    assert found.high == sum(part.high for part in found.parts)
    assert all(0 <= part.fewest <= part.most and 0 <= part.low <= part.high for part in found.parts)


def test_nothing_is_expected_of_a_brand_that_nothing_is_known_of() -> None:
    assert expected(Known(), X) is None
    assert expected(Known(history={"post": 30, "reaction": 500}), X) is None


def test_money_is_written_as_people_read_it() -> None:
    assert [money(Decimal(each)) for each in ("0", "0.004", "0.0149", "1234.5")] == [
        "$0.00", "less than $0.01", "$0.01", "$1,234.50",
    ]  # fmt: skip
