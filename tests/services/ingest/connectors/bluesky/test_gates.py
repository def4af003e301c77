"""How the gate of a thread is changed so that it hides a reply, or shows it: whatever else is in it stays."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.connectors.bluesky.frames import THREADGATE
from services.ingest.connectors.bluesky.gates import FULL, ODD, GateError, changed
from services.ingest.connectors.bluesky.records import MOST_HIDDEN

POST = "at://did:plc:roastery/app.bsky.feed.post/3kpost"
REPLY, OTHER = "at://did:plc:ada/app.bsky.feed.post/3kone", "at://did:plc:bob/app.bsky.feed.post/3ktwo"
AT = "2026-11-30T08:00:00.000Z"
GATE: dict[str, Any] = {
    "$type": THREADGATE, "post": POST, "createdAt": "2026-01-01T00:00:00.000Z",
    "allow": [{"$type": f"{THREADGATE}#followingRule"}], "of": {"a later": ["version"]},
}  # fmt: skip


def hides(gate: Any, reply: str = REPLY) -> dict[str, Any] | None:
    return changed(gate, reply, hide=True, post=POST, made_at=AT)


def shows(gate: Any, reply: str = REPLY) -> dict[str, Any] | None:
    return changed(gate, reply, hide=False, post=POST, made_at=AT)


def test_where_there_is_no_gate_one_is_made_that_lets_everybody_reply() -> None:
    assert hides(None) == {"$type": THREADGATE, "post": POST, "createdAt": AT, "hiddenReplies": [REPLY]}
    assert shows(None) is None


@pytest.mark.parametrize("allow", [[], GATE["allow"]], ids=["nobody may reply", "some may"])
def test_who_may_reply_and_what_nobody_knows_here_stays(allow: list[Any]) -> None:
    gate = {**GATE, "allow": allow, "hiddenReplies": [OTHER]}
    hidden = hides(gate)
    assert hidden == {**gate, "hiddenReplies": [OTHER, REPLY]}
    assert shows(hidden) == gate
    assert gate["hiddenReplies"] == [OTHER]


@pytest.mark.parametrize("hidden", [None, []])
def test_a_gate_may_hide_nothing_yet(hidden: list[str] | None) -> None:
    assert hides({**GATE, "hiddenReplies": hidden}) == hides(GATE) == {**GATE, "hiddenReplies": [REPLY]}


def test_what_is_so_already_is_not_changed() -> None:
    assert hides({**GATE, "hiddenReplies": [OTHER, REPLY]}) is None
    assert shows({**GATE, "hiddenReplies": [OTHER]}) is None
    assert shows(GATE) is None


def test_what_stands_in_it_twice_is_shown_all_the_same() -> None:
    assert shows({**GATE, "hiddenReplies": [REPLY, OTHER, REPLY]}) == {**GATE, "hiddenReplies": [OTHER]}


def test_a_full_gate_hides_no_more_and_still_shows() -> None:
    full = {**GATE, "hiddenReplies": [f"{OTHER}{number}" for number in range(MOST_HIDDEN - 1)] + [REPLY]}
    assert hides(full) is None
    with pytest.raises(GateError, match=FULL):
        hides(full, OTHER)
    shown = shows(full)
    assert shown is not None
    assert hides(shown, OTHER) is not None


@pytest.mark.parametrize(
    "odd",
    [
        {**GATE, "post": f"{POST}x"},
        {**GATE, "post": None},
        {},
        {**GATE, "hiddenReplies": REPLY},
        {**GATE, "hiddenReplies": {REPLY: True}},
        {**GATE, "hiddenReplies": [REPLY, 7]},
    ],
    ids=["another post's", "nobody's", "empty", "a text", "an object", "a number in it"],
)
def test_a_gate_that_is_not_as_it_should_be_is_left_alone(odd: dict[str, Any]) -> None:
    for change in (hides, shows):
        with pytest.raises(GateError, match=ODD):
            change(odd)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", POST, REPLY]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(["post", "hiddenReplies", "allow"]), anything), st.booleans())
def test_a_gate_of_any_shape_is_changed_or_refused(gate: dict[str, Any], hide: bool) -> None:
    try:
        found = changed(gate, REPLY, hide=hide, post=POST, made_at=AT)
    except GateError:
        return
    assert found is None or (REPLY in found["hiddenReplies"]) is hide
    assert found is None or {**found, "hiddenReplies": 0} == {**gate, "hiddenReplies": 0}
