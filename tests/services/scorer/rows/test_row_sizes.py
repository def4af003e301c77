"""No row of the scorer outgrows what the log takes, whatever was written into the log before there were bounds."""

from typing import Any

import pytest
from msgspec.structs import replace

from rapport.contracts.events import Actor, Object
from tests.services.scorer.story import HOUR, T0, Story, interaction

pytestmark = pytest.mark.slow

LOG_TAKES = 1_000_000
"""Bytes of a record with its key: 1 MiB and some room for headers."""
MINUTE = 60_000


def largest(story: Story) -> int:
    return max(len(key) + len(value) for key, value in story.rows.items())


def test_twelve_long_addresses_cost_no_follower_the_clock() -> None:
    story = Story()
    for number in range(12):
        said = interaction("comment", f"c{number}", T0 + number * MINUTE, text="Hello?")
        story.tell(
            replace(said, object=Object(f"c{number}", "https://example.com/" + "x" * 100_000)), T0 + number * MINUTE
        )
    assert largest(story) < LOG_TAKES / 10
    story.tell(interaction("comment", "last", T0 + 2 * HOUR), T0 + 25 * HOUR)
    assert story.alerts, "the clock ran"


@pytest.mark.parametrize("char", ["x", '"', "\u0001", "\U0001f600"])
def test_a_thread_of_the_longest_strings_stays_below_what_the_log_takes(char: str) -> None:
    """Threads of answered questions, then one of open ones: each string as long as can be, in its dearest letters."""
    story = Story()
    at = T0

    def tell(kind: Any, id: str, **more: Any) -> None:
        nonlocal at
        at += MINUTE
        long = {"follower": char * 512, "thread": char * 512, "conversation": char * 512, "account": char * 512}
        said = interaction(kind, id, at, **long, **more)
        whole = (id + char * 512)[:512]
        actor = Actor(said.actor.id, char * 5_000, char * 5_000, char * 5_000)
        story.tell(replace(said, object=Object(whole, char * 5_000), actor=actor), at)

    for number in range(60):
        tell("comment", f"asked-{number}-", text=char * 5_000)
        tell("reply", f"answer-{number}-", parent=(f"asked-{number}-" + char * 512)[:512])
    for number in range(250):
        tell("comment", f"open-{number}-", text=char * 5_000)
    assert largest(story) < LOG_TAKES
    states = {snapshot.id: snapshot.state for snapshot in story.snapshots}
    assert list(states.values()).count("open") == 1
    story.tell(interaction("comment", "elsewhere", at + 26 * HOUR, follower="bob"), at + 26 * HOUR)
    assert [alert.step for alert in story.alerts if alert.follower.id == char * 512][-1] == "breach"
