"""An exchange and its alerts say when the first comment was received, and the clock does not care."""

import itertools

from msgspec import structs

from rapport.contracts.events import Interaction
from rapport.domain.times import utc
from tests.services.scorer.story import DAY, HOUR, T0, Story, interaction

LATE = 3 * HOUR + 10 * 60_000


def late(id: str, at: int, by: int = LATE) -> Interaction:
    """A comment that the platform told of late."""
    return structs.replace(interaction("comment", id, at), observed_at=utc(at + by))


def test_a_late_comment_is_due_as_if_it_had_come_at_once() -> None:
    story = Story()
    story.tell(late("c1", T0), T0 + LATE + 40)
    exchange = story.only()
    assert (exchange.opened_at, exchange.due_at, exchange.received_at) == (utc(T0), utc(T0 + DAY), utc(T0 + LATE))
    story.tick(T0 + 18 * HOUR)
    story.tick(T0 + DAY)
    assert [(alert.step, alert.received_at) for alert in story.alerts] == [
        ("warning", utc(T0 + LATE)),
        ("breach", utc(T0 + LATE)),
    ]


def test_it_is_that_of_the_comment_whose_clock_runs() -> None:
    story = Story()
    story.tell(late("c1", T0), T0 + LATE)
    story.tell(late("c2", T0 + HOUR, by=1_000), T0 + LATE)
    assert story.only().received_at == utc(T0 + LATE)
    story.tell(interaction("delete", "x1", T0 + 2 * HOUR, of="c1"), T0 + LATE)
    assert (story.only().first.id, story.only().received_at) == ("c2", utc(T0 + HOUR + 1_000))


def test_the_order_and_a_repetition_change_nothing() -> None:
    told = [
        late("c1", T0),
        late("c2", T0 + HOUR, by=1_000),
        interaction("reply", "r1", T0 + 5 * HOUR, parent="c2"),
        late("c3", T0 + 6 * HOUR, by=60_000),
    ]
    outcomes = set()
    for order in itertools.permutations(told):
        story = Story()
        for number, each in enumerate((*order, *order)):
            story.tell(each, T0 + 7 * HOUR + number)
        outcomes.add(tuple((found.first.id, found.state, found.received_at) for found in story.now()))
    assert outcomes == {
        (("c1", "answered", utc(T0 + LATE)), ("c3", "open", utc(T0 + 6 * HOUR + 60_000))),
    }
