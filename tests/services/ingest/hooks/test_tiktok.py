"""TikTok puts JSON into a string of the JSON: what stands in there is read as strictly as what stands around it."""

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.events import Account
from services.api.accounts.connections import NEEDED, READ
from services.ingest.connectors.tiktok.normalise import LONGEST_CONTENT
from services.ingest.hooks.delivery import MOST_CHANGES, UnreadableError
from services.ingest.hooks.endpoint import indexed
from tests.damage import changed, places
from tests.deliveries import HOOKS, OBSERVED_AT, Recorded, recorded
from tests.services.ingest.hooks.test_deliveries import odd

HOOK = HOOKS["tiktok"]
RECORDED = {one.name: one for one in recorded() if one.platform == "tiktok"}
READABLE = [one for one in RECORDED.values() if one.expected]


def _event(one: Recorded, content: str) -> bytes:
    return json.dumps({**json.loads(one.body), "content": content}).encode()


@given(one=st.sampled_from(READABLE), data=st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_place_of_the_content_nothing_is_raised(one: Recorded, data: st.DataObject) -> None:
    content = json.loads(json.loads(one.body)["content"])
    place = data.draw(st.sampled_from(places(content)))
    damaged = json.dumps(changed(content, place, data.draw(odd)))
    found = HOOK.read(_event(one, damaged), one.lookup, OBSERVED_AT)
    accounts = {interaction["account"] for interaction in one.expected}
    assert {interaction.account for interaction in found.interactions} <= accounts
    assert len(found.interactions) + found.unread <= len(accounts) * len(damaged)


@pytest.mark.parametrize(
    "content",
    ["[" * 60_000, '{"a":' * 12_000, "", "null", "x" * (LONGEST_CONTENT + 1)],
    ids=["lists", "objects", "empty", "null", "long"],
)
def test_content_that_is_none_is_a_problem_and_the_delivery_is_taken(content: str) -> None:
    one = RECORDED["comment"]
    found = HOOK.read(_event(one, content), one.lookup, OBSERVED_AT)
    assert (found.interactions, found.unread) == ([], 1)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(UnreadableError):
        HOOK.read(_event(RECORDED["comment"], "\ud800"), RECORDED["comment"].lookup, OBSERVED_AT)


def test_content_may_be_so_long_and_no_longer() -> None:
    one = RECORDED["comment"]
    content: dict[str, Any] = json.loads(json.loads(one.body)["content"])
    longest = json.dumps(content | {"text": ""})
    text = "x" * (LONGEST_CONTENT - len(longest))
    (found,) = HOOK.read(_event(one, json.dumps(content | {"text": text})), one.lookup, OBSERVED_AT).interactions
    assert found.text == text
    over = HOOK.read(_event(one, json.dumps(content | {"text": text + "x"})), one.lookup, OBSERVED_AT)
    assert (over.interactions, over.unread) == ([], 1)
    assert "at most 65536" in over.problems[0].why


def test_so_many_reactions_are_too_many() -> None:
    one = RECORDED["reaction-to-a-message"]
    content = json.loads(json.loads(one.body)["content"]) | {"reaction": [{}] * (MOST_CHANGES + 1)}
    found = HOOK.read(_event(one, json.dumps(content, separators=(",", ":"))), one.lookup, OBSERVED_AT)
    assert (found.interactions, found.unread) == ([], 1)
    assert "at once" in found.problems[0].why


def test_numbers_beyond_what_a_float_can_tell_apart_stay_what_they_are() -> None:
    one = RECORDED["comment"]
    content = json.loads(json.loads(one.body)["content"])
    names = set()
    for number in range(2**63 - 3, 2**63 + 3):
        changed = json.dumps(content | {"comment_id": number, "video_id": number + 1})
        (found,) = HOOK.read(_event(one, changed), one.lookup, OBSERVED_AT).interactions
        assert (found.id, found.conversation) == (str(number), str(number + 1))
        names.add(found.id)
    assert len(names) == 6


def test_of_the_brands_other_accounts_identifiers_and_handles_are_known_and_of_other_brands_they_are_not() -> None:
    def account(name: str) -> Account:
        return Account(
            id=name, platform="tiktok", handle=name, connected_at=OBSERVED_AT, door_secrets=(),
            connection={"business": f"business-{name}", "identifier": f"identifier-{name}"},
        )  # fmt: skip

    accounts = {name: (brand, account(name)) for name, brand in (("a", "roastery"), ("b", "roastery"), ("c", "bakery"))}
    index = indexed(MappingProxyType(accounts), HOOKS)
    [(first, (one,)), *_, (last, (other,))] = index.items()
    assert (first, last) == (("tiktok", "business-a"), ("tiktok", "business-c"))
    assert one.own == {"business-a", "identifier-a", "business-b", "identifier-b"}
    assert other.own == {"business-c", "identifier-c"}
    assert one.handles == {"a", "b"}
    assert other.handles == {"c"}


def test_a_conversation_is_the_same_for_a_comment_its_answer_its_hiding_and_its_end() -> None:
    names = ("comment", "reply-by-the-account", "hide", "friends-only", "unhide", "delete")
    found = [HOOK.read(RECORDED[name].body, RECORDED[name].lookup, OBSERVED_AT).interactions[0] for name in names]
    assert len({(one.conversation, one.thread) for one in found}) == 1
    assert len({one.id for one in found}) == len(names)


def test_what_is_read_of_a_connection_may_be_saved() -> None:
    assert NEEDED["tiktok"] == (HOOK.id_field, "identifier")
    assert set(NEEDED["tiktok"]) <= set(READ["tiktok"])
