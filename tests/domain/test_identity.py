"""Who is the same person."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.identity import (
    MOST_MEMBERS,
    Around,
    Link,
    Profile,
    SelfError,
    Standing,
    TooManyError,
    brought_by_others,
    check,
    confirm_each_other,
    person_id,
    persons,
    plain_url,
)

followers = st.sampled_from([f"{platform}/{name}" for platform in ("a", "b", "c") for name in "1234"])
links = st.lists(st.tuples(followers, followers).filter(lambda pair: pair[0] != pair[1]).map(lambda p: Link.of(*p)))


@given(links=links, data=st.data())
def test_the_same_links_in_any_order_and_number_make_the_same_persons(links: list[Link], data: st.DataObject) -> None:
    assert persons(data.draw(st.permutations(links + links))) == persons(links)


@given(links=links)
def test_every_linked_follower_is_in_one_person_and_every_link_within_one(links: list[Link]) -> None:
    found = persons(links)
    assert sorted(member for each in found for member in each) == sorted({name for link in links for name in link})
    assert all(any(set(link) <= each for each in found) for link in links)


@given(links=links.map(lambda found: list(dict.fromkeys(found))), data=st.data())
def test_taking_links_back_gives_exactly_the_persons_from_before(links: list[Link], data: st.DataObject) -> None:
    history = [persons(links[:count]) for count in range(len(links) + 1)]
    standing = list(links)
    while standing:
        standing.pop()
        assert persons(standing) == history[len(standing)]
    kept = data.draw(st.lists(st.sampled_from(links), unique=True)) if links else []
    undone = [link for link in links if link not in kept]
    assert persons([link for link in links if link not in undone]) == persons(kept)


@given(links=links.map(lambda found: list(dict.fromkeys(found))), some=st.sets(followers))
def test_going_along_links_finds_every_link_of_the_persons_that_some_belong_to(
    links: list[Link], some: set[str]
) -> None:
    going = Around(some)
    while going.asked:
        going.add([link for link in links if set(link) & going.asked])
    wanted = [each for each in persons(links) if each & some]
    assert going.links == {link for link in links if any(set(link) <= each for each in wanted)}


def test_nobody_is_linked_to_themselves_and_not_everybody_to_everybody() -> None:
    with pytest.raises(SelfError):
        check("a/1", "a/1", [])
    chain = [Link.of(f"a/{number:02}", f"a/{number + 1:02}") for number in range(MOST_MEMBERS - 2)]
    check("a/00", "b/new", chain)
    check("a/00", "a/05", chain)
    with pytest.raises(TooManyError, match="21 followers"):
        check("a/00", "b/new", [*chain, Link.of("a/00", "c/new")])


@given(
    members=st.dictionaries(
        followers,
        st.builds(
            Standing,
            st.dictionaries(st.sampled_from(["know", "trust"]), st.integers(-50, 50).map(float)),
            st.none() | st.datetimes(datetime(2025, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)),
        ),
        min_size=2,
    )
)
def test_what_a_follower_has_and_what_the_others_bring_is_the_same_for_every_member(
    members: dict[str, Standing],
) -> None:
    whole = set()
    for name, own in members.items():
        others = brought_by_others(name, members)
        sums = {each: own.sums.get(each, 0.0) + others.sums.get(each, 0.0) for each in ("know", "trust")}
        bought = max((at for at in (own.last_purchase_at, others.last_purchase_at) if at), default=None)
        whole.add((tuple(sums.items()), bought))
    assert len(whole) == 1


def test_only_links_both_ways_confirm_who_somebody_is() -> None:
    one = Profile("social.example/@ada", frozenset({"example.org/ada"}))
    other = Profile("example.org/ada", frozenset({"social.example/@ada"}))
    assert confirm_each_other(one, other)
    assert confirm_each_other(other, one)
    assert not confirm_each_other(one, other._replace(links=frozenset()))
    assert not confirm_each_other(one._replace(links=frozenset({"example.org"})), other)
    assert not confirm_each_other(one._replace(url=None), other._replace(url=None))


def test_addresses_that_lead_to_the_same_place_are_the_same() -> None:
    assert (
        len({plain_url(url) for url in ("https://www.Example.org/Ada/", "http://example.org/ada", "example.org/ada")})
        == 1
    )


def test_a_person_is_the_same_for_the_same_first_follower_of_the_same_brand() -> None:
    assert person_id("acme", ["b/1", "a/1"]) == person_id("acme", ["a/1", "c/7"]) != person_id("zeta", ["a/1", "c/7"])
