"""The connector against Bluesky's real server software: what people do there arrives in Kafka as interactions."""

from typing import Any

import pytest

from rapport.contracts.events import Brand
from tests.platforms.bluesky.network import PASSWORD, Network, Person
from tests.services.ingest.errands.asking import ask, errand, state, states
from tests.services.ingest.people import Seen, accounts_read, newcomer, on_bluesky
from tests.services.ingest.service import Ingest, Log, brand_with, publish
from tests.waiting import until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def acme(bluesky: Network) -> Person:
    return newcomer(bluesky, "acme")


@pytest.fixture(scope="module")
def fan(bluesky: Network) -> Person:
    return newcomer(bluesky, "fan")


@pytest.fixture(scope="module")
def other(bluesky: Network) -> Person:
    return newcomer(bluesky, "other")


@pytest.fixture(scope="module")
def brand(stack: Any, ingest: Ingest, bluesky: Network, acme: Person) -> Brand:
    made = brand_with(on_bluesky(acme))
    before = accounts_read(ingest, bluesky)
    publish(stack.kafka, made)
    until(lambda: accounts_read(ingest, bluesky) > before, "the account to be read for")
    return made


@pytest.fixture
def seen(log: Log, brand: Brand) -> Seen:
    return Seen(log, brand)


def test_a_comment_and_its_answer_meet_in_one_conversation_and_thread(
    acme: Person, fan: Person, brand: Brand, seen: Seen
) -> None:
    post = acme.post("New cakes on Friday")
    comment = fan.post("Are they vegan?", reply=post)
    answer = acme.post("They are!", reply=comment)
    published, asked, answered = seen.of(post), seen.of(comment), seen.of(answer)

    assert (published.kind, published.actor.id) == ("post", acme.did)
    assert (asked.kind, asked.actor.id, asked.text) == ("comment", fan.did, "Are they vegan?")
    assert (asked.post, asked.parent and asked.parent.id) == (post.uri, post.uri)
    assert (asked.occurred_at_source, asked.language) == ("author", "en")
    assert (answered.kind, answered.actor.id, answered.actor.handle) == ("reply", acme.did, acme.handle)
    assert answered.parent is not None
    assert (answered.parent.id, answered.parent.actor) == (comment.uri, fan.did)
    assert asked.conversation == answered.conversation == f"{acme.did}:{fan.did}"
    assert asked.thread == answered.thread == post.uri


def test_an_answer_in_two_parts_is_two_replies_to_the_same_comment(acme: Person, fan: Person, seen: Seen) -> None:
    comment = fan.post("How do you make them?", reply=acme.post("Our cakes"))
    first = acme.post("With flour…", reply=comment)
    second = acme.post("…and time.", reply=first)
    assert [seen.of(part).kind for part in (first, second)] == ["reply", "reply"]
    assert seen.of(first).parent == seen.of(second).parent
    assert seen.of(first).conversation == seen.of(second).conversation


def test_the_brands_own_thread_is_posts(acme: Person, seen: Seen) -> None:
    first = acme.post("1/2")
    second = acme.post("2/2", reply=first)
    assert [seen.of(first).kind, seen.of(second).kind] == ["post", "post"]
    assert seen.of(second).thread == first.uri


def test_an_answer_to_another_follower_in_the_brands_thread_is_a_comment_of_its_own(
    acme: Person, fan: Person, other: Person, seen: Seen
) -> None:
    post = acme.post("Open on Sunday?")
    comment = fan.post("Please do", reply=post)
    joined = seen.of(other.post("Yes please", reply=comment))
    assert (joined.kind, joined.actor.id, joined.post) == ("comment", other.did, post.uri)
    assert joined.conversation == f"{acme.did}:{other.did}"


def test_a_mention_elsewhere_is_a_mention_and_its_answer_meets_it(
    acme: Person, fan: Person, other: Person, seen: Seen
) -> None:
    start = other.post("Where is good cake?")
    mention = fan.post("Ask", reply=start, mentions=[acme])
    answer = acme.post("Here!", reply=mention)
    named, answered = seen.of(mention), seen.of(answer)
    assert (named.kind, named.actor.id, named.post) == ("mention", fan.did, None)
    assert named.conversation == answered.conversation
    assert named.thread == answered.thread == start.uri


def test_a_comment_that_also_mentions_the_brand_is_one_comment(acme: Person, fan: Person, seen: Seen) -> None:
    comment = fan.post("Well done", reply=acme.post("We won"), mentions=[acme])
    after = fan.follow(acme)
    seen.of(after)
    assert seen.of(comment).kind == "comment"
    assert seen.ids().count(comment.uri) == 1
    fan.delete(after)


def test_likes_reposts_follows_and_quotes_arrive_and_their_undoing_too(acme: Person, other: Person, seen: Seen) -> None:
    post = acme.post("Free coffee today")
    like, repost, follow = other.like(post), other.repost(post), other.follow(acme)
    quote = other.post("Look at this", quote=post)
    kinds = [seen.of(ref).kind for ref in (like, repost, follow, quote)]
    assert kinds == ["reaction", "share", "follow", "share"]
    assert (seen.of(like).reaction, seen.of(like).post, seen.of(quote).post) == ("like", post.uri, post.uri)
    for ref, kind in ((like, "reaction"), (repost, "share"), (follow, "follow"), (quote, "share")):
        other.delete(ref)
        undone = seen.undone(ref)
        assert (undone.kind, undone.undo, undone.actor.id) == (kind, True, other.did)
    again = other.like(post)
    assert seen.of(again).id != seen.of(like).id


def test_an_edit_and_a_deletion_stay_with_their_comment(acme: Person, fan: Person, seen: Seen) -> None:
    comment = fan.post("Is is open?", reply=acme.post("Sunday"))
    fan.edit(comment, "Is it open?")
    edited = seen.of(comment, "edit")
    fan.delete(comment)
    deleted = seen.undone(comment)
    original = seen.of(comment, "comment")
    assert edited.text == "Is it open?"
    assert (deleted.kind, deleted.undo, deleted.occurred_at_source) == ("delete", False, "platform")
    for later in (edited, deleted):
        assert (later.conversation, later.thread, later.post) == (
            original.conversation,
            original.thread,
            original.post,
        )
    assert len({original.id, edited.id, deleted.id}) == 3


def test_what_the_brand_hides_is_hidden_until_it_shows_it_again(
    acme: Person, fan: Person, other: Person, seen: Seen
) -> None:
    post = acme.post("Monday is closed")
    comment, advert = fan.post("Why?", reply=post), other.post("Buy mine", reply=post)
    acme.hide(post, advert, comment)
    hidden, too = seen.of(advert, "hide"), seen.of(comment, "hide")
    acme.hide(post, advert)
    shown = seen.of(comment, "unhide")
    gate = acme.hide(post, advert, comment)
    acme.delete(gate)
    assert seen.of(advert, "unhide").thread == post.uri
    for one, by in ((hidden, other), (too, fan), (shown, fan)):
        assert (one.conversation, one.thread, one.actor.id) == (f"{acme.did}:{by.did}", post.uri, acme.did)
    assert len({hidden.id, too.id, shown.id}) == 3


def test_what_is_hidden_from_here_comes_back_once(
    stack: Any, ingest: Ingest, bluesky: Network, fan: Person, log: Log
) -> None:
    shop = newcomer(bluesky, "shop")
    its = on_bluesky(shop)
    its.connection.update(password=PASSWORD)
    brand = brand_with(its)
    before = accounts_read(ingest, bluesky)
    publish(stack.kafka, brand)
    until(lambda: accounts_read(ingest, bluesky) > before, "the account to be read for")
    seen = Seen(log, brand)
    post = shop.post("Monday is closed")
    comment = fan.post("Why?", reply=post)
    its_thread = seen.of(comment).thread

    def done(deed: str) -> None:
        one = errand(brand.id, its, comment.uri, deed, thread=its_thread)
        ask(stack.kafka, one)
        until(lambda: state(stack.kafka, one.id) == "done", lambda: f"it to be done: {states(stack.kafka, one.id)}")

    for deed in ("hide", "hide", "unhide", "unhide"):
        done(deed)
    after = fan.post("And Tuesday?", reply=post)
    seen.of(after)
    about = [one for one in log.interactions(brand.id) if one.object.id == comment.uri]
    assert [one.kind for one in about] == ["comment", "hide", "unhide"]
    assert {(one.conversation, one.thread) for one in about} == {(f"{shop.did}:{fan.did}", post.uri)}
    assert [one.actor.id for one in about[1:]] == [shop.did, shop.did]


def test_whom_the_brand_blocks_is_told_of_that_follower(acme: Person, other: Person, seen: Seen) -> None:
    block = acme.block(other)
    blocked = seen.of(block)
    assert (blocked.kind, blocked.undo, blocked.actor.id) == ("block", False, other.did)
    acme.delete(block)
    lifted = seen.undone(block)
    assert (lifted.kind, lifted.actor.id, lifted.object) == ("block", other.did, blocked.object)
    other.delete(other.block(acme))
    after = other.post("Hello", mentions=[acme])
    seen.of(after)
    assert sum("graph.block" in uri for uri in seen.ids()) == 2


def test_what_does_not_concern_the_brand_stays_out(acme: Person, fan: Person, other: Person, seen: Seen) -> None:
    talk = fan.post("Nothing about cakes")
    aside = other.post("Indeed", reply=talk)
    liked = other.like(talk)
    last = fan.post("Hello", mentions=[acme])
    seen.of(last)
    assert not {talk.uri, aside.uri, liked.uri} & set(seen.ids())


def test_what_the_brand_likes_of_others_is_recorded_as_its_own(acme: Person, fan: Person, seen: Seen) -> None:
    talk = fan.post("Nothing about cakes")
    found = seen.of(acme.like(talk))
    assert (found.kind, found.staff, found.actor.id) == ("reaction", True, acme.did)
    assert found.parent is not None
    assert (found.parent.id, found.parent.actor) == (talk.uri, fan.did)


def test_an_account_that_cannot_be_read_stops_no_other(
    stack: Any, ingest: Ingest, bluesky: Network, acme: Person, fan: Person, brand: Brand, seen: Seen
) -> None:
    nowhere = on_bluesky(acme)
    nowhere.connection.update(service="ws://127.0.0.1:1")
    incomplete = on_bluesky(acme)
    del incomplete.connection["did"]
    publish(stack.kafka, brand_with(nowhere, incomplete))
    until(lambda: "connection.did is missing" in ingest.log.read_text(), "the complaint")
    until(lambda: "127.0.0.1:1: " in ingest.log.read_text(), "the failure")
    post = acme.post("Still here")
    assert seen.of(fan.post("So are we", reply=post)).kind == "comment"
