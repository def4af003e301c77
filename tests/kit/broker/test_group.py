"""When a consumer counts as a member, and what is done where it is not. A second passes with every look."""

from collections.abc import Iterable

from rapport.kit.broker.group import Act, Judge, Patience, Seen, Standing

PARTITIONS = [("orders", 0), ("orders", 1)]
WHOLE = Seen("Stable", {"me": frozenset(PARTITIONS)})
SHARED = Seen("Stable", {"me": frozenset(PARTITIONS[:1]), "other": frozenset(PARTITIONS[1:])})
TORN = Seen("Stable", {"me": frozenset(PARTITIONS[:1])})
WITHOUT_ME = Seen("Stable", {"other": frozenset(PARTITIONS)})
EMPTY = Seen("Empty", {})
JOINING = Seen("PreparingRebalance", {"me": frozenset()})
PATIENCE = Patience(outside=3, rebalancing=8, lost=10)


def looks(*seen: Seen | None, every: float = 1.0) -> list[Standing]:
    """What each look in turn comes to; None is a broker that does not answer."""
    judge = Judge("shop", PARTITIONS, PATIENCE)
    found = []
    for number, each in enumerate(seen):
        if each is None:
            judge.unanswered()
        else:
            found.append(judge.look(number * every, "me", each))
    return found


def acts(found: Iterable[Standing]) -> list[Act]:
    """What was to be done, in order."""
    return [each.act for each in found if each.act is not Act.NOTHING]


def test_a_member_is_well_whether_it_has_all_partitions_or_shares_them() -> None:
    assert looks(WHOLE, SHARED) == [Standing(None), Standing(None)]


def test_who_is_not_listed_is_not_ready_at_once_gets_new_consumers_and_then_gives_up() -> None:
    for outside in (WITHOUT_ME, EMPTY):
        found = looks(WHOLE, *[outside] * 10)
        assert found[1] == Standing("not a member of group shop")
        assert acts(found) == [Act.RENEW, Act.RENEW, Act.RENEW, Act.GIVE_UP]


def test_a_partition_that_nobody_has_counts_like_being_outside() -> None:
    found = looks(*[TORN] * 5)
    assert found[0] == Standing("group shop has 1 partitions that are assigned to nobody", unassigned=1)
    assert acts(found) == [Act.RENEW]


def test_a_rebalance_is_waited_for_but_not_for_ever() -> None:
    found = looks(*[JOINING] * 8)
    assert {each.reason for each in found} == {"group shop is being rebalanced"}
    assert acts(looks(*[JOINING] * 18)) == [Act.RENEW, Act.RENEW, Act.RENEW, Act.GIVE_UP]


def test_once_back_everything_is_forgotten() -> None:
    again = [EMPTY] * 2 + [WHOLE]
    assert acts(looks(*again * 10)) == []


def test_going_back_and_forth_between_outside_and_rebalancing_does_not_go_on_for_ever() -> None:
    assert Act.GIVE_UP in acts(looks(*[EMPTY, EMPTY, JOINING] * 10))


def test_while_the_broker_is_silent_and_while_the_process_was_stopped_no_clock_runs() -> None:
    assert acts(looks(EMPTY, *[None] * 30, EMPTY)) == []
    assert acts(looks(EMPTY, None, EMPTY, every=3600)) == []
    patient = Judge("shop", PARTITIONS, Patience(outside=12, lost=60))
    patient.look(0, "me", WHOLE)
    assert patient.look(3600, "me", EMPTY).act is Act.NOTHING
