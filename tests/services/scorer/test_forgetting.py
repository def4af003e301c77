"""What the platforms' terms no longer let be kept leaves the scorer's rows, by the log's time; nothing else changes."""

from typing import Any, cast

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.controls import Decided, FollowerErased, PolicyRule, When
from rapport.contracts.events import Actor, Interaction, Kind
from rapport.contracts.rows import FOLLOWER, FollowerRow, row_key
from rapport.domain.times import utc
from services.scorer.relationships.forgetting import LOOK_EVERY
from tests.services.scorer.story import DAY, HOUR, T0, Dialogue, People, Story, interaction
from tests.services.scorer.test_any_order import Told, happenings

SECRET = "a secret refund"
WORDS = PolicyRule(
    when=When(words=("refund",)), target_seconds=72 * 3600, warn_at=(), escalate_after_seconds=(DAY // 1000,)
)
REST = PolicyRule(target_seconds=72 * 3600 + 1, warn_at=())


def on(platform: str, kind: Kind, id: str, at: int, *, seen: int | None = None, **more: Any) -> Interaction:
    """An interaction of a named person, observed at `seen` or when it occurred."""
    event = interaction(kind, id, at, **more)
    actor = Actor(id=event.actor.id, handle="ada-handle", name="Ada Name", avatar_url="https://pic.example/ada")
    observed = utc(at if seen is None else seen)
    return msgspec.structs.replace(event, platform=platform, actor=actor, observed_at=observed)


def held(rows: dict[bytes, bytes]) -> set[str]:
    """What of the person the rows still hold."""
    everything = b"\n".join([*rows, *rows.values()]).decode()
    return {each for each in ("secret", "ada-handle", "Ada Name", "pic.example") if each in everything}


def follower(rows: dict[bytes, bytes], platform: str = "linkedin") -> FollowerRow:
    """Ada's row."""
    return msgspec.json.decode(rows[row_key(FOLLOWER, "acme", platform, "ada")], type=FollowerRow)


def test_linkedins_names_leave_after_a_day_and_texts_after_two_while_the_clock_runs_on() -> None:
    story = Story()
    story.policy(T0, WORDS, REST)
    story.tell(on("linkedin", "comment", "c1", T0 + 1, text=SECRET), T0 + 1)
    before = story.only()
    assert held(story.rows) == {"secret", "ada-handle", "Ada Name"}
    story.tick(T0 + DAY)
    assert held(story.rows) == {"secret", "ada-handle", "Ada Name"}
    story.tick(T0 + 1 + DAY)
    assert held(story.rows) == {"secret"}
    assert (story.only().follower.handle, story.only().first.text) == (None, SECRET)
    story.reopen()
    story.tick(T0 + 1 + 2 * DAY)
    assert held(story.rows) == set()
    after = story.only()
    assert (after.first.text, after.first.kept_until, after.first.id) == (None, utc(T0 + 1 + 2 * DAY), "c1")
    assert (after.due_at, after.policy, after.state) == (before.due_at, before.policy, "open")
    assert story.alerts == []
    story.tick(T0 + 3 * DAY + 1)
    story.tick(T0 + 4 * DAY + 1)
    assert story.steps() == ["breach", "escalation"]
    assert {(alert.first.text, alert.follower.name) for alert in story.alerts} == {(None, None)}
    story.tell(on("linkedin", "reply", "r1", T0 + 5 * DAY, parent="c1"), T0 + 5 * DAY)
    assert (story.only().state, story.only().policy.rule) == ("answered_late", 0)


def test_youtubes_leave_after_thirty_days_and_others_stay() -> None:
    for platform, left in (("youtube", set()), ("mastodon", {"secret", "ada-handle", "Ada Name"})):
        story = Story()
        story.policy(T0, PolicyRule(target_seconds=80 * 86_400, warn_at=()))
        story.tell(on(platform, "comment", "c1", T0 + 1, text=SECRET), T0 + 1)
        story.tick(T0 + 30 * DAY)
        assert held(story.rows) == {"secret", "ada-handle", "Ada Name"}
        story.tick(T0 + 1 + 30 * DAY)
        assert held(story.rows) == left
        assert story.only().state == "open"


def test_what_was_observed_long_before_the_log_took_it_is_not_taken_in() -> None:
    dialogue = Dialogue()
    dialogue.tell(on("linkedin", "comment", "c1", T0, text=SECRET), T0 + 3 * DAY)
    dialogue.engage(on("linkedin", "reaction", "l1", T0), T0 + 3 * DAY)
    assert held(dialogue.rows) | held(dialogue.people) == set()
    assert dialogue.only().first.text is None
    assert follower(dialogue.people).counts == {"comment": 1, "reaction": 1}


def test_a_new_interaction_of_the_same_person_renews_their_names_and_no_text() -> None:
    story = Story()
    story.policy(T0, REST)
    story.tell(on("linkedin", "comment", "c1", T0, text=SECRET), T0)
    story.tell(on("linkedin", "comment", "c2", T0 + DAY - 1, text="and"), T0 + DAY - 1)
    story.tick(T0 + 2 * DAY - 2)
    assert held(story.rows) == {"secret", "ada-handle", "Ada Name"}
    story.tick(T0 + 2 * DAY)
    assert held(story.rows) == set()
    assert story.only().comments == 2


def test_that_a_name_may_be_kept_for_longer_is_no_news_of_an_exchange_that_ended() -> None:
    """Versions side by side count the same revisions, whether or not they know of the terms."""
    story = Story()
    story.policy(T0, REST)
    story.tell(on("linkedin", "comment", "c1", T0 + 1), T0 + 1)
    story.tell(on("linkedin", "reply", "r1", T0 + HOUR, parent="c1"), T0 + HOUR)
    ended = story.only()
    assert (ended.state, ended.revision) == ("answered", 2)
    story.tell(on("linkedin", "comment", "c2", T0 + 2 * HOUR), T0 + 2 * HOUR)
    assert sorted((each.first.id, each.revision) for each in story.now()) == [("c1", 2), ("c2", 1)]


def test_names_leave_the_relationships_rows_and_the_scores_stay() -> None:
    people = People()
    people.tell(on("linkedin", "share", "s1", T0, text=SECRET), T0)
    before = follower(people.rows)
    assert held(people.rows) == {"ada-handle", "Ada Name", "pic.example"}
    people.tell(on("linkedin", "share", "s2", T0 + HOUR), T0 + HOUR)
    people.tell(on("linkedin", "share", "other", T0 + DAY, follower="bob", seen=T0), T0 + DAY)
    assert held(people.rows) == {"ada-handle", "Ada Name", "pic.example"}, "renewed an hour later"
    people.reopen()
    people.sweep(T0 + HOUR + DAY)
    assert held(people.rows) == set()
    after = follower(people.rows)
    assert (after.handle, after.name, after.avatar_url, after.kept_until, after.forget_at) == (None, None, None, {}, 0)
    assert after.revision == before.revision + 1, "no new revision is shown"
    assert after.counts == {"share": 2}
    assert not [key for key in people.rows if key.startswith(b'["forget"')]
    people.tell(on("linkedin", "share", "s3", T0 + 3 * DAY), T0 + 3 * DAY)
    assert follower(people.rows).name == "Ada Name"


def test_what_an_exchange_publishes_at_that_time_also_moves_the_relationships_clock() -> None:
    dialogue = Dialogue()
    dialogue.policy(T0, REST)
    dialogue.tell(on("linkedin", "comment", "c1", T0, text=SECRET), T0)
    assert held(dialogue.people) == {"ada-handle", "Ada Name"}
    dialogue.relationships.open(cast(Any, dialogue.people))
    dialogue.tick(T0 + DAY)
    people = People()
    people.rows = dialogue.people
    people.reopen()
    people.sweep(T0 + DAY)
    assert held(dialogue.people) == set()


def test_many_leave_at_once_in_parts() -> None:
    people = People()
    for number in range(20):
        people.tell(on("youtube", "share", f"s{number}", T0 + number, follower=f"f{number}"), T0 + number)
    assert sum(key.startswith(b'["forget"') for key in people.rows) == 20
    people.sweep(T0 + 9 + 30 * DAY)
    assert sum(key.startswith(b'["forget"') for key in people.rows) == 10
    while people.sweep(T0 + LOOK_EVERY + 9 + 30 * DAY):
        pass
    assert held(people.rows) == set()


def test_of_an_erased_person_not_even_the_time_stays() -> None:
    people = People()
    people.tell(on("youtube", "share", "s1", T0), T0)
    gone = FollowerErased(brand="acme", platform="youtube", follower="ada", at=utc(T0))
    people.tell(gone, T0 + 1, type="rapport.control.v1")
    assert [key for key in people.rows if b"ada" in key] == []


def figures(platform: str, happened: list[tuple[Told, int]], texts: list[str], reopen: set[int]) -> Any:
    """What comes of a history on a platform: exchanges, alerts, and what the relationships count."""
    dialogue = Dialogue()
    dialogue.policy(T0, WORDS, REST, effective_from=T0 - DAY)
    for number, (told, at) in enumerate(happened):
        if told.kind == "decide":
            decided = Decided(
                id=told.id, brand="acme", platform=platform, thread="post-1", follower=told.follower,
                exchange=told.id, at=utc(told.at), by="Grace", why="",
            )  # fmt: skip
            dialogue.control(decided, at)
        else:
            about = {"parent": told.of, "automatic": told.automatic} if told.kind == "reply" else {}
            about |= {"of": told.of} if told.kind in ("delete", "hide", "unhide") else {}
            text = texts[number % len(texts)] if told.kind == "comment" else None
            its = on(
                platform, cast(Kind, told.kind), told.id, told.at, seen=at, follower=told.follower, text=text, **about
            )
            dialogue.tell(its, at)
        if number in reopen:
            dialogue.reopen()
    end = max(at for _, at in happened) + 20 * DAY
    for day in range(20):
        dialogue.tick(end - (20 - day) * DAY)
    dialogue.tick(end)
    exchanges = [
        (each.follower.id, each.first.id, each.state, each.breached_at, each.comments, each.due_at, each.policy)
        for each in dialogue.now()
    ]
    alerts = [(each.step, each.first.id, each.due_at, each.created_at, each.comments) for each in dialogue.alerts]
    people = [
        (row.follower, row.counts, row.contributions, row.days, row.first_seen, row.last_seen)
        for key, value in sorted(dialogue.people.items())
        if key.startswith(b'["follower"')
        for row in [msgspec.json.decode(value, type=FollowerRow)]
    ]
    return exchanges, sorted(alerts), people, dialogue


@settings(max_examples=150, deadline=None)
@given(happened=happenings(), data=st.data())
def test_in_any_order_the_figures_are_those_of_a_platform_without_limits(
    happened: list[Told], data: st.DataObject
) -> None:
    arriving = data.draw(st.permutations(happened + data.draw(st.lists(st.sampled_from(happened), max_size=4))))
    pauses = st.integers(0, 3 * DAY)
    clock, story = T0, []
    for told in arriving:
        clock += data.draw(pauses)
        story.append((told, max(clock, told.at)))
    texts = data.draw(st.lists(st.sampled_from([SECRET, "a secret", "secret? Refund!"]), min_size=1, max_size=4))
    reopen = data.draw(st.sets(st.integers(0, len(story))))
    *limited, dialogue = figures("linkedin", story, texts, reopen)
    *free, _ = figures("mastodon", story, texts, set())
    assert limited == free
    assert held(dialogue.rows) == set()
    assert b'"text":' not in b"".join(dialogue.rows.values())
