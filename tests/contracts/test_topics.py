"""The catalogue holds what its readers rely on."""

from hypothesis import given
from hypothesis import strategies as st

from rapport.contracts.topics import (
    CATALOGUE,
    CONVERSATIONS,
    ENGAGEMENTS,
    EXCHANGES,
    EXCHANGES_CHANGELOG,
    RELATIONSHIPS_CHANGELOG,
    key_of,
    partition_of,
)


def test_what_the_scorer_reads_and_its_changelogs_have_equally_many_partitions() -> None:
    scored = (CONVERSATIONS, ENGAGEMENTS, EXCHANGES, EXCHANGES_CHANGELOG, RELATIONSHIPS_CHANGELOG)
    assert len({topic.partitions for topic in scored}) == 1


def test_the_broker_stamps_interactions_because_its_time_moves_the_clocks() -> None:
    for topic in (CONVERSATIONS, ENGAGEMENTS):
        assert topic.config["message.timestamp.type"] == "LogAppendTime"


def test_names_are_unique() -> None:
    assert len({topic.name for topic in CATALOGUE}) == len(CATALOGUE)


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_two_keys_are_equal_only_if_all_their_parts_are(one: list[str], other: list[str]) -> None:
    assert (key_of(*one) == key_of(*other)) == (one == other)


def test_a_partition_is_the_crc_of_the_key_and_stays_so() -> None:
    # A changed function would tear every key from its state.
    key = key_of("roastery", "bluesky", "did:plc:ada")
    assert key == b'["roastery","bluesky","did:plc:ada"]'
    assert (partition_of(key, 4), partition_of(key, 7)) == (2, 2143724394 % 7)
