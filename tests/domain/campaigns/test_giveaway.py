from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.domain.campaigns.campaign import CampaignFact, Change, Scope
from rapport.domain.campaigns.giveaway import Entry, Known, Requirement, Rules, entries, judge

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
END = START + timedelta(days=7)
AFTER = END + timedelta(days=1)
SCOPE = Scope(id="spring", starts_at=START, until=END, posts=("post",), hashtag="SpringCoffee")
COMMENT = Requirement(kind="comment", word="coffee")
FOLLOW = Requirement(kind="follow")
SHARE = Requirement(kind="share")
ENTRY = Requirement(kind="entry")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def fact(id: str, kind: str, hours: float, **more: Any) -> CampaignFact:
    fields: dict[str, Any] = {"object": id, "platform": "bluesky", "follower": "ada", "account": "main", **more}
    return CampaignFact(at=at(hours), id=id, kind=kind, **fields)


def comment(id: str, hours: float, text: str = "I want coffee!", **more: Any) -> CampaignFact:
    return fact(id, "comment", hours, text=text, **{"post": "post", **more})


def change(id: str, kind: str, thing: str, hours: float, text: str | None = None) -> Change:
    return Change(at(hours), id, kind, thing, "bluesky", text)


def one(
    rules: Rules,
    *facts: CampaignFact,
    changes: tuple[Change, ...] = (),
    known: Known | None = None,
    now: datetime = AFTER,
) -> Entry:
    found = judge(SCOPE, rules, facts, changes, known or Known(), now)
    assert found is not None
    return found


def alone(requirement: Requirement) -> Rules:
    return Rules(requirements=(requirement,))


def test_a_comment_with_the_word_on_the_post_in_time_is_an_entry_and_says_what_made_it_one() -> None:
    found = one(alone(COMMENT), comment("a", 2))
    assert (found.reasons, found.at, found.duplicates) == ((), at(2), 0)
    assert [(each.requirement, each.interaction) for each in found.fulfilled] == [(0, "a")]


@pytest.mark.parametrize("text", ["COFFEE, please", "coffee", "Oh, coffee."])
def test_the_word_counts_whole_and_in_any_case(text: str) -> None:
    assert one(alone(COMMENT), comment("a", 2, text)).reasons == ()


def test_a_word_within_another_is_not_the_word() -> None:
    assert one(alone(COMMENT), comment("a", 2, "coffeehouse")).reasons == ("word_missing",)


def test_an_emoji_can_be_the_word() -> None:
    rules = alone(Requirement(kind="comment", word="☕"))
    assert one(rules, comment("a", 2, "me too☕!")).reasons == ()
    assert one(rules, comment("a", 2, "me too!")).reasons == ("word_missing",)


@pytest.mark.parametrize(("hours", "reasons"), [(-1, ("too_early",)), (0, ()), (168, ()), (168.001, ("too_late",))])
def test_only_what_is_done_between_start_and_end_counts(hours: float, reasons: tuple[str, ...]) -> None:
    assert one(alone(COMMENT), comment("a", hours)).reasons == reasons


def test_one_follower_has_one_entry_and_the_rest_are_duplicates() -> None:
    found = one(alone(COMMENT), comment("b", 3), comment("a", 2), comment("c", 4), comment("d", 5, "hello"))
    assert (found.fulfilled[0].interaction, found.duplicates) == ("a", 2)


def test_all_rules_have_to_hold_and_the_last_of_them_makes_the_entry() -> None:
    rules = Rules(requirements=(COMMENT, FOLLOW, SHARE))
    found = one(rules, comment("a", 2), fact("f", "follow", -50), fact("s", "share", 9, post="post"))
    assert (found.reasons, found.at) == ((), at(9))
    assert one(rules, comment("a", 2)).reasons == ("not_following", "not_shared")


def test_any_rule_is_enough_where_the_campaign_says_so() -> None:
    rules = Rules(match="any", requirements=(COMMENT, SHARE))
    assert one(rules, fact("s", "share", 9, post="post"), comment("a", 2, "no")).reasons == ()
    assert one(rules, comment("a", 2, "no")).reasons == ("word_missing", "not_shared")


def test_who_stops_following_before_the_end_is_out_and_who_stops_after_it_is_not() -> None:
    rules = Rules(requirements=(COMMENT, FOLLOW))
    followed = (comment("a", 2), fact("f", "follow", 1))
    assert one(rules, *followed, fact("g", "follow", 100, object="f", undo=True)).reasons == ("not_following",)
    assert one(rules, *followed, fact("g", "follow", 170, object="f", undo=True)).reasons == ()


def test_of_following_and_unfollowing_the_latest_holds_whichever_came_first() -> None:
    rules = Rules(requirements=(COMMENT, FOLLOW))
    gone = fact("g", "follow", 100, object="f", undo=True)
    for told in ((fact("f", "follow", 1), gone), (gone, fact("f", "follow", 1))):
        assert one(rules, comment("a", 2), *told).reasons == ("not_following",)
        assert one(rules, comment("a", 2), *told, fact("h", "follow", 101)).reasons == ()
        assert one(rules, comment("a", 2), fact("h", "follow", 101), *told).reasons == ()


def test_what_is_undone_and_done_again_counts() -> None:
    shared = (fact("s", "share", 9, post="post"), fact("t", "share", 10, object="s", undo=True))
    assert one(alone(SHARE), *shared, fact("u", "share", 11, object="s", post="post")).reasons == ()


def test_where_a_follow_is_the_rule_only_who_begins_to_follow_in_time_takes_part() -> None:
    rules = alone(FOLLOW)
    assert one(rules, fact("f", "follow", 1)).reasons == ()
    assert judge(SCOPE, rules, [fact("f", "follow", -1)], (), Known(), AFTER) is None


def test_deleting_hiding_or_undoing_takes_an_entry_back_also_after_the_end() -> None:
    for kind in ("delete", "hide"):
        assert one(alone(COMMENT), comment("a", 2), changes=(change("x", kind, "a", 200),)).reasons == ("taken_back",)
    shared = fact("s", "share", 9, post="post")
    undone = fact("t", "share", 180, object="s", undo=True)
    assert one(alone(SHARE), shared, undone).reasons == ("taken_back",)
    shown = (change("x", "hide", "a", 20), change("y", "unhide", "a", 21))
    assert one(alone(COMMENT), comment("a", 2), changes=shown).reasons == ()


def test_after_a_deletion_the_next_comment_is_the_entry() -> None:
    found = one(alone(COMMENT), comment("a", 2), comment("b", 3), changes=(change("x", "delete", "a", 4),))
    assert (found.reasons, found.fulfilled[0].interaction, found.duplicates) == ((), "b", 0)


def test_an_edit_can_bring_the_word_in_time_and_take_it_away_at_any_time() -> None:
    brought = (change("x", "edit", "a", 5, "coffee it is"),)
    assert one(alone(COMMENT), comment("a", 2, "hello"), changes=brought).reasons == ()
    late = (change("x", "edit", "a", 170, "coffee it is"),)
    assert one(alone(COMMENT), comment("a", 2, "hello"), changes=late).reasons == ("word_missing",)
    gone = (change("x", "edit", "a", 170, "hello"),)
    assert one(alone(COMMENT), comment("a", 2), changes=gone).reasons == ("word_missing",)


def test_a_hashtag_makes_a_comment_elsewhere_an_entry_until_it_is_edited_away() -> None:
    tagged = comment("a", 2, "coffee #springcoffee", post="other")
    assert one(alone(COMMENT), tagged).reasons == ()
    edited = (change("x", "edit", "a", 3, "coffee"),)
    assert one(alone(COMMENT), tagged, changes=edited).reasons == ("taken_back",)
    assert judge(SCOPE, alone(COMMENT), [comment("b", 2, post="other")], (), Known(), AFTER) is None


def test_an_entry_interaction_of_this_campaign_is_one_without_a_word_or_a_post() -> None:
    assert one(alone(ENTRY), fact("e", "entry", 2, campaign="spring")).reasons == ()
    assert judge(SCOPE, alone(ENTRY), [fact("e", "entry", 2, campaign="autumn")], (), Known(), AFTER) is None


def test_bots_staff_blocked_and_newcomers_are_out() -> None:
    assert one(alone(COMMENT), comment("a", 2, bot=True)).reasons == ("bot",)
    assert one(alone(COMMENT), comment("a", 2), known=Known(bot=True)).reasons == ("bot",)
    assert one(alone(COMMENT), comment("a", 2, staff=True)).reasons == ("staff",)
    blocked = (comment("a", 2), fact("b", "block", 3))
    assert one(alone(COMMENT), *blocked).reasons == ("blocked",)
    assert one(alone(COMMENT), *blocked, fact("c", "block", 4, undo=True)).reasons == ()
    rules = Rules(requirements=(COMMENT,), since_before_start=True)
    assert one(rules, comment("a", 2), known=Known(at(2))).reasons == ("too_new",)
    assert one(rules, comment("a", 2), known=Known(at(-2))).reasons == ()


def test_accounts_that_the_campaign_does_not_name_do_not_count() -> None:
    scope = Scope(id="spring", starts_at=START, until=END, posts=("post",), accounts=("main",))
    assert judge(scope, alone(COMMENT), [comment("a", 2, account="other")], (), Known(), AFTER) is None


_PEOPLE = st.sampled_from(["ada", "bob"])
_THINGS = st.sampled_from(["a", "b", "c"])
_HOURS = st.integers(-5, 200)
_FACTS = st.builds(
    lambda number, kind, who, thing, hours, undo, text: fact(
        f"i{number}", kind, hours, object=f"{who}-{thing}", follower=who, post="post", undo=undo, text=text
    ),
    st.integers(0, 10**6),
    st.sampled_from(["comment", "share", "follow", "block"]),
    _PEOPLE,
    _THINGS,
    _HOURS,
    st.booleans(),
    st.sampled_from(["coffee", "tea"]),
)
_CHANGES = st.builds(
    lambda number, kind, who, thing, hours, text: change(f"c{number}", kind, f"{who}-{thing}", hours, text),
    st.integers(0, 10**6),
    st.sampled_from(["edit", "delete", "hide", "unhide"]),
    _PEOPLE,
    _THINGS,
    _HOURS,
    st.sampled_from(["coffee", "tea"]),
)
_RULES = st.builds(
    Rules,
    match=st.sampled_from(["all", "any"]),
    requirements=st.sampled_from([(COMMENT,), (COMMENT, FOLLOW), (SHARE, COMMENT), (FOLLOW,)]),
)


@given(
    _RULES,
    st.lists(_FACTS, max_size=14, unique_by=lambda each: each.id),
    st.lists(_CHANGES, max_size=8, unique_by=lambda each: each.id),
    st.data(),
)
def test_the_order_of_arrival_and_repetitions_make_no_difference(
    rules: Rules, facts: list[CampaignFact], changes: list[Change], data: Any
) -> None:
    known = {("bluesky", who): Known() for who in ("ada", "bob")}
    expected = entries(SCOPE, rules, facts, changes, known, AFTER)
    again = data.draw(st.permutations([*facts, *facts[:3]]))
    changed = data.draw(st.permutations([*changes, *changes[:3]]))
    assert entries(SCOPE, rules, again, changed, known, AFTER) == expected
    assert len({(each.platform, each.follower) for each in expected}) == len(expected)
    for each in expected:
        assert bool(each.reasons) or each.fulfilled
        assert bool(each.reasons) or each.at <= END
