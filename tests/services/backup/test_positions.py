"""Which positions of a backup fit the topics of today."""

import pytest

from rapport.contracts.topics import CHARGES, CONVERSATIONS, CURSORS, ENGAGEMENTS, ERRANDS, Topic
from services.backup.positions import _of_as_many_or_fewer

TOPICS = (CONVERSATIONS, ENGAGEMENTS, CURSORS, ERRANDS, CHARGES)


def known(*topics: Topic, fewer: int = 0) -> dict[str, int]:
    """Positions of all partitions, or of those of a backup from before some were added."""
    return {
        f"{topic.name}:{number}": 5
        for topic in topics
        for number in range(topic.partitions - (0 if topic.fixed else fewer))
    }


@pytest.mark.parametrize(
    "found",
    [
        known(*TOPICS),
        known(*TOPICS, fewer=2),
        known(CONVERSATIONS, ENGAGEMENTS),
        known(CONVERSATIONS, ENGAGEMENTS, CURSORS),
        known(CONVERSATIONS, ENGAGEMENTS, CURSORS, ERRANDS),
        known(CONVERSATIONS, CURSORS),
        {},
    ],
)
def test_a_backup_from_before_there_was_a_topic_fits(found: dict[str, int]) -> None:
    assert _of_as_many_or_fewer(found, TOPICS)


@pytest.mark.parametrize(
    "found",
    [
        {**known(*TOPICS), "rapport.unheard-of.v1:0": 3},
        {**known(*TOPICS), f"{CONVERSATIONS.name}:{CONVERSATIONS.partitions}": 3},
        {**known(*TOPICS), f"{CURSORS.name}:{CURSORS.partitions}": 3},
        {name: at for name, at in known(*TOPICS).items() if name != f"{CURSORS.name}:0"},
        {name: at for name, at in known(*TOPICS).items() if name != f"{ENGAGEMENTS.name}:0"},
        {**known(CONVERSATIONS), **known(ENGAGEMENTS, fewer=1)},
    ],
)
def test_positions_of_other_partitions_do_not_fit(found: dict[str, int]) -> None:
    assert not _of_as_many_or_fewer(found, TOPICS)
