"""What asking found and nobody had pushed is counted once, however often and in whichever order both tell it."""

from collections import Counter

from rapport.contracts.codec import ASKED_HEADER
from rapport.contracts.events import Interaction
from services.scorer.fenced.batch import Batch
from tests.services.scorer.story import T0, Story, interaction, record


def told(story: Story, event: Interaction, at: int, *, asked: bool) -> Counter[str]:
    """One record, with or without the mark; what it counts as repaired."""
    batch, one = Batch(story.rows), record(event, at)
    if asked:
        one.headers = (*one.headers, ASKED_HEADER)
    story.handler.apply(one, at, batch)
    story.rows.take(batch)
    story.handler.committed()
    return batch.repaired


def test_a_comment_that_nobody_pushed_counts_and_its_repetition_does_not() -> None:
    story = Story()
    comment = interaction("comment", "c1", T0)
    assert told(story, comment, T0, asked=True) == {"generic": 1}
    assert not told(story, comment, T0 + 1, asked=True)
    assert not told(story, comment, T0 + 2, asked=False)


def test_a_comment_that_was_pushed_does_not_count_when_asking_finds_it() -> None:
    story = Story()
    comment = interaction("comment", "c1", T0)
    assert not told(story, comment, T0, asked=False)
    assert not told(story, comment, T0 + 1, asked=True)


def test_answers_and_messages_count_and_what_the_platform_only_pushes_late_does_not() -> None:
    story = Story()
    story.tell(interaction("comment", "c1", T0), T0)
    assert told(story, interaction("reply", "r1", T0 + 5, parent="c1"), T0 + 5, asked=True) == {"generic": 1}
    assert not told(story, interaction("reply", "r1", T0 + 5, parent="c1"), T0 + 6, asked=True)
    assert told(story, interaction("message", "m1", T0 + 7, thread="dm"), T0 + 7, asked=True) == {"generic": 1}
    assert not told(story, interaction("hide", "c1#hide-asked", T0, of="c1"), T0 + 8, asked=True)
    assert not told(story, interaction("comment", "c2", T0 + 9), T0 + 9, asked=False)


def test_a_reply_whose_comment_is_not_known_yet_counts_once() -> None:
    story = Story()
    reply = interaction("reply", "r1", T0, parent="c1", to=None)
    assert told(story, reply, T0, asked=True) == {"generic": 1}
    assert not told(story, reply, T0 + 1, asked=True)
