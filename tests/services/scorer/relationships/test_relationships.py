"""The relationships agent: names, the agency's numbers, and what a person's other followers bring."""

import itertools
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from msgspec import structs

from rapport.contracts import codec
from rapport.contracts.controls import PersonTold, PolicyRule, ScoringSet, StageTold, When
from rapport.contracts.events import Actor, FollowerRef, Interaction, Spoken
from rapport.contracts.rows import FOLLOWER, row_key
from rapport.contracts.scoring import Weight
from rapport.contracts.topics import EXCHANGES, key_of, partition_of
from rapport.domain.relationships.counting import KEPT_DAYS
from rapport.domain.relationships.relationship import DEFAULT
from rapport.domain.times import utc
from services.scorer.exchanges.handler import ExchangesHandler
from services.scorer.fenced.batch import Batch
from services.scorer.relationships.handler import RelationshipsHandler
from tests.services.scorer.story import DAY, HOUR, T0, Dialogue, People, Rows, interaction, record

KEY = row_key(FOLLOWER, "acme", "generic", "ada")
TWICE = structs.replace(
    DEFAULT, version=1, weights=DEFAULT.weights | {"share": Weight(know=1.6, like=3.0, trust=2.0, daily_cap=3)}
)


def named(id: str, at: int, **actor: Any) -> Interaction:
    """A share by somebody who is called so."""
    return structs.replace(interaction("share", id, at), actor=Actor(id="ada", **actor))


def test_a_follower_is_called_what_the_latest_interaction_says_in_whatever_order_they_come() -> None:
    said = [
        named("1", T0, handle="@old", name="Ada"),
        named("2", T0 + HOUR, handle="@new"),
        named("3", T0 + 2 * HOUR, avatar_url="https://a/b"),
    ]
    for order in itertools.permutations(said):
        people = People()
        for event in (*order, order[0]):
            people.tell(event)
        row = people.row()
        assert (row.handle, row.name, row.avatar_url) == ("@new", "Ada", "https://a/b")


def test_a_comment_that_two_conversations_name_counts_once_in_whatever_order_they_tell_it() -> None:
    first = Spoken(
        brand="acme", platform="generic", account="shop", follower=FollowerRef(id="ada"), kind="comment", object="c",
        occurred_at=utc(T0), revision=1,
    )  # fmt: skip
    other = structs.replace(first, occurred_at=utc(T0 - 2 * DAY), kind="mention")
    gone = structs.replace(first, undone=True, revision=2)
    for told in ([first, other], [first, other, gone]):
        rows = set()
        for order in itertools.permutations(told):
            people = People()
            for event in (*order, order[0]):
                people.tell(event, type="rapport.exchange.v1")
            row = people.row()
            assert (row.first_seen, row.last_seen) == (utc(T0 - 2 * DAY), utc(T0))
            assert sum(many for day in row.days.values() for many in day.values()) == (0 if gone in told else 1)
            rows.add(msgspec.json.encode(structs.replace(row, revision=0)))
        assert len(rows) == 1


def test_days_too_old_are_forgotten_in_whatever_order_they_come_also_if_the_newest_was_taken_back() -> None:
    old, newest = interaction("share", "old", T0 - (KEPT_DAYS + 1) * DAY), interaction("share", "new", T0)
    undone = structs.replace(interaction("share", "undo", T0 + 1000, of=newest.object.id), undo=True)
    rows = set()
    for order in itertools.permutations([old, newest, undone]):
        people = People()
        for event in order:
            people.tell(event)
        row = people.row()
        assert row.days == {}
        rows.add(msgspec.json.encode(row))
    assert len(rows) == 1


def test_new_numbers_sum_up_every_relationship_anew_the_past_included() -> None:
    people = People()
    people.tell(interaction("share", "s1", T0 - 30 * DAY))
    before = people.trust()
    assert people.set(TWICE)
    people.tell(interaction("share", "s2", T0, follower="bob"))
    while people.sweep():
        pass
    assert people.trust() == pytest.approx(2 * before)
    assert (people.row().scoring, people.row("bob").scoring) == (1, 1)
    assert not people.set(TWICE), "the same version again"
    assert not people.set(structs.replace(DEFAULT, version=1)), "the first of a version counts"
    assert people.trust() == pytest.approx(2 * before)


def test_a_worker_that_ends_in_between_leaves_the_rest_to_the_next() -> None:
    people = People()
    for number in range(5):
        people.tell(interaction("share", f"s{number}", T0, follower=f"f{number}"))
    people.set(TWICE)
    people.reopen()
    while people.sweep():
        pass
    assert {people.row(f"f{number}").scoring for number in range(5)} == {1}
    people.reopen()
    assert not people.sweep()


def test_the_exchanges_agent_hands_on_numbers_to_its_own_partition_and_a_persons_news_to_the_followers() -> None:
    handler, rows = ExchangesHandler(0), Rows()
    handler.open(rows)  # type: ignore[arg-type]
    for partition in range(EXCHANGES.partitions):
        for event, wanted in (
            (ScoringSet(scoring=TWICE), partition),
            (
                PersonTold(brand="acme", platform="generic", follower="ada", revision=1, person="p"),
                partition_of(key_of("acme", "generic", "ada"), EXCHANGES.partitions),
            ),
        ):
            batch = Batch(rows)
            handler.apply(replace(record(event, T0, "rapport.control.v1"), partition=partition), T0, batch)
            (output,) = batch.outputs
            assert (output.topic, output.partition) == (EXCHANGES.name, wanted)
            assert codec.decode(codec.type_of(output.headers), output.value) == event


def test_a_purchase_on_another_platform_makes_the_person_a_buyer_for_a_target_by_stage() -> None:
    story = Dialogue()
    story.policy(T0, PolicyRule(when=When(stage=("buys",)), target_seconds=4 * 3600), PolicyRule(target_seconds=86_400))
    story.engage(interaction("share", "s1", T0), T0)
    told = PersonTold(
        brand="acme", platform="generic", follower="ada", revision=1, person="p",
        sums={"trust": 0.0}, last_purchase_at=utc(T0 - DAY),
    )  # fmt: skip
    story.control(told, T0 + 1)
    story.tell(interaction("comment", "c1", T0 + HOUR), T0 + HOUR)
    (stage,) = [each for each in story.told if isinstance(each, StageTold)]
    assert stage.stage == "buys"
    assert story.only().due_at == utc(T0 + 5 * HOUR)


def test_of_a_persons_news_the_highest_revision_holds_and_its_end_takes_all_of_it_back() -> None:
    people = People()
    people.tell(interaction("share", "s1", T0))
    alone = people.row()
    for revision, person in ((2, "p"), (1, "q"), (2, "r")):
        event = PersonTold(
            brand="acme", platform="generic", follower="ada", revision=revision, person=person, sums={"know": 5.0}
        )
        people.tell(event, type="rapport.control.v1")
    linked = people.row().person
    assert linked is not None
    assert linked.person == "p"
    people.tell(
        PersonTold(brand="acme", platform="generic", follower="ada", revision=3, person=None),
        type="rapport.control.v1",
    )
    assert people.row().contributions == alone.contributions
    linked = people.row().person
    assert linked is not None
    assert (linked.person, linked.sums) == (None, {})


@pytest.mark.parametrize("order", [("end", "lift", "again"), ("lift", "end", "again"), ("lift", "again", "end")])
def test_the_end_of_a_block_is_told_however_late_the_exchange_says_that_it_has_heard_of_it(
    order: tuple[str, ...],
) -> None:
    story = Dialogue()
    story.tell(interaction("comment", "c1", T0), T0)
    block = interaction("block", "b1", T0 + HOUR)
    story.engage(block, T0 + HOUR)
    begun, ended = story.snapshots
    assert (begun.state, ended.cancelled_because) == ("open", "blocked")
    news = {
        "begin": begun,
        "block": block,
        "end": ended,
        "lift": interaction("block", "b2", T0 + 2 * HOUR, of="b1", undo=True),
        "again": interaction("block", "b3", T0 + 3 * HOUR, of="b1"),
    }
    handler, rows, told = RelationshipsHandler(), Rows(), []
    for name in ("begin", "block", *order):
        batch, event = Batch(rows), news[name]
        kind = "rapport.interaction.v1" if isinstance(event, Interaction) else "rapport.exchange.v1"
        handler.apply(record(event, T0 + DAY, kind), T0 + DAY, batch)
        rows.take(batch)
        handler.committed()
        told += [codec.decode(codec.type_of(each.headers), each.value).id for each in batch.outputs]
    # Otherwise what was written between the two blocks would count as written while blocked. What is over already asks
    # when something is written again, so it need not be told of the next one.
    assert told[:2] == ["b1", "b2"]
    assert told[2:] in ([], ["b2"], ["b3"])
