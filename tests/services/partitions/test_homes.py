"""Where rows of the scorer go when partitions are added."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport import partitions
from rapport.contracts.rows import row_key
from rapport.contracts.topics import key_of, partition_of
from services.partitions.homes import WrongCountError, check, descendants, homes
from services.scorer.fenced.state import POSITION
from services.scorer.rows.exchanges import messages_key, object_key, policy_key, settings_key, thread_key
from services.scorer.rows.relationships import SCORING_KEY, fact_key, follower_key, forget_key, open_key, thing_key

WAS, NOW = 4, 12
CONVERSATION = "bluesky/post-1"
PARTITION = partition_of(key_of("roastery", "bluesky", CONVERSATION), WAS)
HOME = partition_of(key_of("roastery", "bluesky", CONVERSATION), NOW)
EVERY = list(descendants(PARTITION, WAS, NOW))
THREAD = thread_key("roastery", "bluesky", "post-1", "ada")
ROWS = {THREAD: msgspec.json.encode({"comments": [{"conversation": CONVERSATION, "id": "c1"}], "seen": 1})}


def home_of(key: bytes, value: object, partition: int = PARTITION) -> list[int]:
    """Where a row goes, by its value or by the thread's row above."""
    return list(homes(key, msgspec.json.encode(value), partition, WAS, NOW, ROWS.get))


@given(st.text(min_size=1), st.integers(1, 64), st.integers(2, 8))
def test_each_partition_comes_from_the_one_that_its_keys_were_in(name: str, was: int, times: int) -> None:
    key = key_of("roastery", name)
    assert partition_of(key, was * times) in descendants(partition_of(key, was), was, was * times)


def test_a_thread_goes_where_its_conversation_is() -> None:
    assert home_of(THREAD, {"comments": [{"conversation": CONVERSATION}]}) == [HOME]
    # Its comments are history, what was published of them is still there.
    assert home_of(THREAD, {"published": [{"conversation": CONVERSATION}]}) == [HOME]


@pytest.mark.parametrize(
    "key", [object_key("roastery", "bluesky", "c1"), messages_key("roastery", "bluesky", "post-1")], ids=repr
)
def test_what_belongs_to_a_thread_goes_with_it(key: bytes) -> None:
    assert home_of(key, {"thread": "post-1", "follower": "ada"}) == [HOME]
    assert home_of(key, {"thread": "post-1", "follower": "nobody"}) == EVERY


@pytest.mark.parametrize(
    "key",
    [
        follower_key("roastery", "bluesky", "ada"),
        fact_key("roastery", "bluesky", "ada", "exchange", "x1"),
        thing_key("roastery", "bluesky", "ada", "like", "post-1"),
        open_key("roastery", "bluesky", "ada", "x1"),
        forget_key(1_790_000_000_000, "roastery", "bluesky", "ada"),
    ],
    ids=repr,
)
def test_what_is_known_of_a_follower_goes_where_the_follower_is(key: bytes) -> None:
    follower = key_of("roastery", "bluesky", "ada")
    assert home_of(key, {}, partition_of(follower, WAS)) == [partition_of(follower, NOW)]


@pytest.mark.parametrize(
    "key",
    [
        settings_key("roastery"),
        policy_key("roastery", 3),
        row_key("heard"),
        row_key("erased", "roastery", "0f"),
        SCORING_KEY,
        object_key("roastery", "bluesky", "unknown"),
        thread_key("roastery", "bluesky", "post-2", "ada"),
    ],
    ids=repr,
)
def test_what_does_not_say_whose_it_is_goes_to_all(key: bytes) -> None:
    assert home_of(key, {}) == EVERY


def test_the_position_stays() -> None:
    assert home_of(POSITION, {}) == [PARTITION]


def test_what_was_in_the_wrong_partition_stays_in_it() -> None:
    wrong = (PARTITION + 1) % WAS
    assert home_of(THREAD, {"comments": [{"conversation": CONVERSATION}]}, wrong) == [wrong]


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        (4, 4, "not more than 4"),
        (4, 2, "not more than 4"),
        (4, 6, "not a multiple of 4: take 8, 12"),
        (4, 4 * partitions.MOST, f"more than {partitions.MOST}"),
    ],
)
def test_not_every_number_is_possible(was: int, now: int, why: str) -> None:
    with pytest.raises(WrongCountError, match=why):
        check(was, now)
    check(4, 12)
