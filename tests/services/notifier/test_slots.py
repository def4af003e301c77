"""Which sends may begin: told as what happens on one type of channel, second by second."""

from services.notifier.slots import KNOWN_SECONDS, SLOW_SECONDS, Barred, Lane, Slots

LATER = SLOW_SECONDS + 0.1


def is_barred(barred: Barred, lane: Lane) -> bool:
    brand, channel = lane
    others = brand in barred.others_of and channel not in barred.others_of[brand]
    return brand in barred.brands or lane in barred.lanes or others


def begun(slots: Slots, wanted: list[Lane], now: float) -> list[Lane]:
    """Begins what may begin, in this order, and says what that was."""
    found = []
    for lane in wanted:
        barred = slots.barred(now)
        if barred is not None and not is_barred(barred, lane):
            slots.take(lane, now)
            found.append(lane)
    return found


def known(slots: Slots, *lanes: Lane, seconds: float = 0.1) -> None:
    """Sends to these channels that took so long."""
    for lane in lanes:
        slots.free(slots.take(lane, -seconds), 0)


def test_a_brand_alone_leaves_slots_to_whoever_comes_next() -> None:
    slots = Slots(8, 40)
    lanes: list[Lane] = [("loud", f"m{n}") for n in range(20)]
    known(slots, *lanes)

    assert len(begun(slots, lanes, 0)) == 3
    assert begun(slots, [("calm", "mail")], 0) == [("calm", "mail")]


def test_a_channel_gets_one_send_at_first_four_once_it_was_quick_and_one_once_it_was_slow() -> None:
    wanted: list[Lane] = [("acme", "hook")] * 9
    slots = Slots(64, 64)
    assert len(begun(slots, wanted, 0)) == 1

    slots = Slots(64, 64)
    known(slots, ("acme", "hook"))
    assert len(begun(slots, wanted, 0)) == 4

    slots = Slots(64, 64)
    known(slots, ("acme", "hook"), seconds=LATER)
    assert len(begun(slots, wanted, 0)) == 1
    slots = Slots(64, 64)
    known(slots, ("acme", "hook"), seconds=LATER)
    known(slots, ("acme", "hook"))
    assert len(begun(slots, wanted, 0)) == 1


def test_what_is_known_of_a_channel_is_forgotten_after_a_while() -> None:
    slots = Slots(8, 40)
    known(slots, ("acme", "slow"), seconds=LATER)
    known(slots, ("acme", "quick"))

    assert len(begun(slots, [("acme", "quick")] * 2, KNOWN_SECONDS + 1)) == 1
    assert slots.take(("acme", "slow"), KNOWN_SECONDS + 1).trial


def test_what_hangs_gives_its_quick_slot_back() -> None:
    slots = Slots(8, 40)
    hanging: list[Lane] = [(f"dead-{n}", "mail") for n in range(20)]

    assert len(begun(slots, hanging, 0)) == 8
    assert slots.barred(1) is None
    assert len(begun(slots, hanging[8:], LATER)) == 8
    assert len(begun(slots, hanging[16:], 2 * LATER)) == 4
    assert begun(slots, [("calm", "mail")], 2 * LATER) == [("calm", "mail")]


def test_of_a_brands_unknown_channels_two_are_tried_at_a_time_beside_those_that_are_known() -> None:
    slots = Slots(8, 40)
    known(slots, ("loud", "good"))
    dead: list[Lane] = [("loud", f"m{n}") for n in range(20)]

    assert begun(slots, dead, 0) == dead[:2]
    assert begun(slots, dead, LATER) == []
    assert begun(slots, [("loud", "good")], LATER) == [("loud", "good")]


def test_slow_channels_share_the_slow_slots_and_leave_their_brands_good_one_alone() -> None:
    slots = Slots(8, 40)
    dead: list[Lane] = [("loud", f"m{n}") for n in range(20)]
    known(slots, *dead, seconds=LATER)

    assert len(begun(slots, dead, 0)) == 4
    assert begun(slots, [("loud", "new"), ("loud", "new")], 0) == [("loud", "new")]


def test_twenty_brands_with_dead_channels_leave_all_quick_slots_to_the_others() -> None:
    slots = Slots(8, 40)
    dead: list[Lane] = [(f"dead-{brand}", f"m{n}") for brand in range(20) for n in range(5)]
    now = 0.0
    for _ in range(20):
        begun(slots, dead, now)
        now += LATER

    assert len(begun(slots, [(f"calm-{n}", "mail") for n in range(500)], now)) == 8


def test_what_hangs_when_all_slow_slots_are_taken_stays_in_a_quick_one() -> None:
    slots = Slots(4, 2)
    assert len(begun(slots, [(f"dead-{n}", "mail") for n in range(4)], 0)) == 4

    assert begun(slots, [("dead-0", "mail"), ("dead-0", "other")], LATER) == []
    assert len(begun(slots, [(f"calm-{n}", "mail") for n in range(4)], LATER)) == 2
    assert slots.barred(2 * LATER) is None
