"""Answers, hidings and likes: what can be asked for, what the log gets, and what the portal shows of it."""

import html
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import FollowerErased
from rapport.contracts.cursors import partition_of_brand
from rapport.contracts.errands import Errand, ErrandState
from rapport.contracts.events import Actor, FollowerRef, Interaction, Object
from rapport.contracts.topics import CURSORS, ERRANDS
from rapport.domain.errands import MESSAGED, UNSURE
from rapport.domain.times import ms
from rapport.local.servers.stack import Running
from services.api.erasure import upkeep as erasure
from services.api.errands.documents import errand_document, errand_state_document
from services.api.exchanges.documents import exchange_document
from services.api.interactions.documents import interaction_document
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.views import PUT_BACK_MS
from tests.services.api import samples
from tests.services.api.conftest import Served, own_brand
from tests.services.api.log import everything
from tests.services.api.publishing.test_publisher import cut_off
from tests.services.api.web.portal_session import logged_in

pytestmark = pytest.mark.stack
__all__ = ["cut_off"]

NOW = datetime.now(UTC).replace(microsecond=0)
ADA = Actor(id="1@social.example", handle="ada@social.example", name="Ada")


class World:
    """A brand with an account on Mastodon, and an exchange of two comments."""

    def __init__(self, api: Served, views: Database[Any], **connection: str) -> None:
        self.api = api
        self.views = views
        self.brand = own_brand()
        self.account = f"{self.brand}-account"
        api.brand(self.brand)
        self.connect("mastodon", service="https://social.example", token="a-token", **connection)
        batch = Batch()
        for number in (1, 2):
            one = self.interaction(f"{number}@social.example", NOW - timedelta(minutes=10 - number))
            document = interaction_document(one)
            batch.interactions[document["_id"]] = document
        batch.exchanges["x"] = exchange_document(self.exchange(), 1)
        writing.write(views, batch)

    def connect(self, platform: str, **connection: str) -> None:
        body = {"id": self.account, "platform": platform, "handle": "@roastery", "connection": connection}
        answer = self.api.client.post(f"/v1/brands/{self.brand}/accounts", json=body)
        assert answer.status_code == 201, answer.text

    def interaction(self, id: str, at: datetime, **more: Any) -> Interaction:
        fields = {
            "platform": "mastodon", "account": self.account, "actor": ADA, "object": Object(id=id),
            "text": f"Comment {id}", **more,
        }  # fmt: skip
        return samples.interaction(id, self.brand, at, **fields)

    def exchange(self, **more: Any) -> Any:
        fields = {
            "platform": "mastodon", "account": self.account, "comments": 2,
            "follower": FollowerRef(id=ADA.id, handle=ADA.handle, name=ADA.name), **more,
        }  # fmt: skip
        return samples.exchange("x", self.brand, NOW - timedelta(minutes=9), **fields)

    def ask(self, what: str, client: Any = None, key: str | None = "k", **body: Any) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        path = f"/v1/brands/{self.brand}/exchanges/x/{what}"
        return (client or self.api.client).post(path, json=body, headers=headers)

    def asked(self, stack: Running) -> list[Errand]:
        found = [each for each in everything(stack.kafka, ERRANDS) if self.brand.encode() in (each.key or b"")]
        return [codec.decode("rapport.errand.v1", each.value) for each in found]

    def project(self, *errands: Errand) -> None:
        batch = Batch()
        batch.errands = {each.id: errand_document(each) for each in errands}
        writing.write(self.views, batch)

    def stands(
        self, errand: Errand, state: Any, at: int = 1, *, claim: int = 1, offset: int | None = None, **more: Any
    ) -> None:
        found = ErrandState(
            brand=self.brand, account=self.account, errand=errand.id, state=state, at=NOW, claim=claim, **more
        )
        batch = Batch()
        batch.errand_states[errand.id] = errand_state_document(found, at, at if offset is None else offset)
        writing.write(self.views, batch)


@pytest.fixture
def world(api: Served, views: Database[Any]) -> World:
    return World(api, views)


def test_what_is_asked_for_is_in_the_log_before_the_answer_and_the_same_key_is_the_same_errand(
    world: World, stack: Running
) -> None:
    answer = world.ask("answers", text=" From eight on\u202e ")
    assert answer.status_code == 202, answer.text
    said = answer.json()
    assert (said["state"], said["deed"], said["text"], said["comment"]) == (
        "asked", "answer", "From eight on", "2@social.example",
    )  # fmt: skip
    assert world.ask("answers", text=" From eight on\u202e ").json()["id"] == said["id"]
    assert world.ask("answers", key="other", text="x", comment="1@social.example").json()["id"] != said["id"]
    assert world.ask("answers", key="rtl", text="שלום (Rapport)\u200f!").json()["text"] == "שלום (Rapport)\u200f!"
    assert world.ask("likes", key="k").status_code == 202
    found = world.asked(stack)
    assert len({each.id for each in found}) == 4
    first = found[0]
    assert first == Errand(
        id=said["id"], brand=world.brand, platform="mastodon", account=world.account, deed="answer", exchange="x",
        follower=ADA.id, thing="2@social.example", thing_kind="comment", by="administrator", at=first.at,
        conversation="conversation-1", thread="thread-1", text="From eight on",
    )  # fmt: skip
    places = [each for each in everything(stack.kafka, ERRANDS) if world.brand.encode() in (each.key or b"")]
    assert {each.partition for each in places} == {partition_of_brand(world.brand)}
    assert ERRANDS.partitions == CURSORS.partitions


def test_a_key_that_was_used_for_something_else_is_refused_even_after_its_day(
    world: World, stack: Running, views: Database[Any]
) -> None:
    first = world.ask("answers", text="From eight on").json()
    (errand,) = world.asked(stack)
    world.project(errand)
    views["request_receipts"].delete_many({})
    newer = world.interaction("3@social.example", NOW)
    batch = Batch()
    document = interaction_document(newer)
    batch.interactions[document["_id"]] = document
    writing.write(views, batch)
    for other in ({"text": "From nine on"}, {"text": "From eight on", "comment": "1@social.example"}):
        refused = world.ask("answers", **other)
        assert (refused.status_code, "already used for something else" in refused.text) == (422, True), refused.text
        views["request_receipts"].delete_many({})
    # The same again is the same, though another comment is the newest by now.
    again = world.ask("answers", text="From eight on").json()
    assert (again["id"], again["comment"]) == (first["id"], "2@social.example")
    assert {each.thing for each in world.asked(stack)} == {"2@social.example"}


def test_nobodys_name_goes_along_with_an_answer(world: World, stack: Running, views: Database[Any]) -> None:
    """Platforms let names be kept for a while only, and nothing would take them out of an errand."""
    world.ask("answers", text="From eight on")
    (errand,) = world.asked(stack)
    world.project(errand)
    for said in (codec.encode(errand).decode(), str(views["errands"].find_one({}))):
        assert "ada@social.example" not in said
        assert "Ada" not in said


def test_who_may_not_write_and_what_cannot_be_done_is_refused(world: World, stack: Running) -> None:
    with world.api.with_key(world.api.key([world.brand], "read")) as reader:
        assert world.ask("answers", reader, text="hi").status_code == 403
    other = own_brand()
    world.api.brand(other)
    with world.api.with_key(world.api.key([other], "write")) as stranger:
        assert world.ask("answers", stranger, text="hi").status_code == 404
    assert world.ask("answers", key=None, text="hi").status_code == 422
    for blank in ("  \u200b ", "\u2800", "\u3164\u3164", "\u200d\ufe0f", "\u0301", "\u202e"):
        assert world.ask("answers", text=blank).status_code == 422, repr(blank)
    assert world.ask("answers", text="x" * 5_001).status_code == 422
    assert world.ask("answers", text="hi", comment="9@social.example").status_code == 404
    assert world.ask("answers", text="hi", to="x").status_code == 422
    hiding = world.ask("hidings")
    assert (hiding.status_code, "no way to hide" in hiding.text) == (409, True)
    assert world.api.client.get(f"/v1/brands/{world.brand}/exchanges/y/errands").status_code == 404
    assert world.asked(stack) == []


@pytest.mark.parametrize(
    ("platform", "connection", "why"),
    [
        ("mastodon", {}, "without a token"),
        ("x", {"user": "7"}, "nothing can be answered from here"),
        ("helpdesk", {}, "nothing can be answered from here"),
    ],
)
def test_where_nothing_can_be_written_it_says_so(
    api: Served, views: Database[Any], platform: str, connection: dict[str, str], why: str
) -> None:
    world = World(api, views)
    path = f"/v1/brands/{world.brand}/accounts/{world.account}"
    assert api.client.delete(path).status_code == 200
    assert "not connected any more" in world.ask("answers", text="hi").text
    other = f"{world.brand}-other"
    body = {"id": other, "platform": platform, "handle": "@roastery", "connection": connection}
    assert api.client.post(f"/v1/brands/{world.brand}/accounts", json=body).status_code == 201
    views["exchanges"].update_one({"_id": "x"}, {"$set": {"platform": platform, "account": other}})
    views["interactions"].update_many({"brand": world.brand}, {"$set": {"platform": platform, "account": other}})
    refused = world.ask("answers", text="hi")
    assert (refused.status_code, why in refused.text) == (409, True), refused.text


def test_on_bluesky_what_stands_below_somebody_elses_post_cannot_be_hidden(
    world: World, stack: Running, views: Database[Any]
) -> None:
    did, path = f"did:plc:{world.brand}", f"/brands/{world.brand}/exchanges/x"
    assert world.api.client.delete(f"/v1/brands/{world.brand}/accounts/{world.account}").status_code == 200
    world.account = f"{world.brand}-bluesky"
    world.connect("bluesky", did=did, service="https://pds.example", password="an-app-password")
    changes = {"platform": "bluesky", "account": world.account}

    def stands_below(post: str) -> None:
        views["exchanges"].update_one({"_id": "x"}, {"$set": {**changes, "thread": post}})
        views["interactions"].update_many({"brand": world.brand}, {"$set": {**changes, "thread": post}})

    with logged_in(world.api) as visitor:
        stands_below("at://did:plc:bob/app.bsky.feed.post/3kpost")
        shown = visitor.get(path).text
        assert f'formaction="{path}/like"' in shown
        assert f'formaction="{path}/hide"' not in shown
        assert f'formaction="{path}/unhide"' not in shown
        for undo in (False, True):
            refused = world.ask("hidings", key=f"undo-{undo}", undo=undo)
            assert (refused.status_code, "only what stands below its own posts" in refused.text) == (409, True)
        tried = visitor.post(f"{path}/hide", data={"comment": "1@social.example"})
        assert tried.status_code == 409
        assert "On Bluesky an account can hide only what stands below its own posts." in tried.text
        assert world.asked(stack) == []
        post = f"at://{did}/app.bsky.feed.post/3kpost"
        stands_below(post)
        shown = visitor.get(path).text
        assert f'formaction="{path}/hide"' in shown
        assert f'formaction="{path}/unhide"' in shown
        assert visitor.post(f"{path}/hide", data={"comment": "1@social.example"}).status_code == 303
    assert world.ask("hidings", key="later", undo=True).status_code == 202
    assert [(each.deed, each.thing, each.thread) for each in world.asked(stack)] == [
        ("hide", "1@social.example", post),
        ("unhide", "2@social.example", post),
    ]


def private(world: World, platform: str) -> None:
    """The exchange becomes one of private messages on another platform."""
    connection = {"facebook": {"page": f"7{ms(NOW)}"}, "instagram": {"user": f"8{ms(NOW)}"}, "tiktok": {
        "business": world.brand, "identifier": world.brand}}[platform]  # fmt: skip
    assert world.api.client.delete(f"/v1/brands/{world.brand}/accounts/{world.account}").status_code == 200
    world.account = f"{world.brand}-{platform}"
    world.connect(platform, token="a-token", **connection)
    changes = {"platform": platform, "account": world.account}
    world.views["exchanges"].update_one({"_id": "x"}, {"$set": changes})
    world.views["interactions"].update_many({"brand": world.brand}, {"$set": {**changes, "kind": "message"}})


@pytest.mark.parametrize("platform", ["facebook", "instagram"])
def test_a_private_message_is_answered_and_nothing_else_is_done_with_it(
    world: World, stack: Running, platform: str
) -> None:
    private(world, platform)
    path = f"/brands/{world.brand}/exchanges/x"
    with logged_in(world.api) as visitor:
        shown = visitor.get(path).text
        assert f'action="{path}/answer"' in shown
        assert f'maxlength="{MESSAGED[platform]}"' in shown
        assert "formaction=" not in shown
    for what, body in (("likes", {}), ("hidings", {}), ("hidings", {"undo": True})):
        refused = world.ask(what, key=f"{what}-{len(body)}", **body)
        assert (refused.status_code, "a private message can be answered" in refused.text) == (409, True), refused.text
    wrong = world.ask("answers", key="long", text="x" * (MESSAGED[platform] + 1))
    assert (wrong.status_code, f"takes {MESSAGED[platform]:,}" in wrong.text) == (422, True), wrong.text
    many_bytes = world.ask("answers", key="bytes", text="é" * 501)
    assert (many_bytes.status_code == 422) == (platform == "instagram"), many_bytes.text
    assert world.ask("answers", key="good", text="From eight on").status_code == 202
    sent = [each for each in world.asked(stack) if each.text == "From eight on"]
    assert [(each.thing, each.thing_kind, each.follower) for each in sent] == [("2@social.example", "message", ADA.id)]


def test_a_private_message_on_tiktok_is_answered_there(world: World, stack: Running) -> None:
    private(world, "tiktok")
    refused = world.ask("answers", text="hi")
    assert (refused.status_code, "Private messages on TikTok are answered there." in refused.text) == (409, True), (
        refused.text
    )
    assert world.asked(stack) == []


def test_a_comment_that_was_deleted_is_not_answered(world: World) -> None:
    gone = world.interaction("d", NOW, kind="delete", object=Object(id="2@social.example"), text=None)
    batch = Batch()
    document = interaction_document(gone)
    batch.interactions[document["_id"]] = document
    writing.write(world.views, batch)
    assert world.ask("answers", text="hi").json()["comment"] == "1@social.example"
    assert world.ask("answers", key="l", text="hi", comment="2@social.example").status_code == 404
    world.views["interactions"].update_many({"brand": world.brand}, {"$set": {"object.id": "2@social.example"}})
    refused = world.ask("answers", key="m", text="hi")
    assert (refused.status_code, "Nothing is left to answer." in refused.text) == (409, True), refused.text


def test_without_a_broker_it_says_so_and_can_be_sent_again(
    cut_off: Served, api: Served, stack: Running, views: Database[Any]
) -> None:
    world = World(api, views)
    assert world.ask("answers", cut_off.client, text="hi").status_code == 503
    assert world.ask("answers", text="hi").status_code == 202
    assert [each.text for each in world.asked(stack)] == ["hi"]


def test_how_it_stands_is_shown_and_an_older_state_changes_nothing(world: World, stack: Running) -> None:
    world.ask("answers", text="From eight on")
    (errand,) = world.asked(stack)
    path = f"/v1/brands/{world.brand}/exchanges/x/errands"
    assert world.api.client.get(path).json()["items"] == []
    world.project(errand, errand)
    assert [each["state"] for each in world.api.client.get(path).json()["items"]] == ["asked"]
    world.stands(errand, "done", 5, url="https://social.example/@roastery/3", done_as="3@social.example")
    world.stands(errand, "sending", 4)
    (shown,) = world.api.client.get(path).json()["items"]
    assert (shown["state"], shown["url"], shown["by"]) == (
        "done",
        "https://social.example/@roastery/3",
        "administrator",
    )


def test_the_portal_answers_shows_how_it_stands_and_sends_the_same_only_once(world: World, stack: Running) -> None:
    path = f"/brands/{world.brand}/exchanges/x"
    with logged_in(world.api) as visitor:
        page = visitor.get(path).text
        assert "Answer on Mastodon" in page
        assert f'action="{path}/answer"' in page
        assert f'formaction="{path}/hide"' not in page
        sent = visitor.post(f"{path}/answer", data={"text": "From eight on", "comment": "1@social.example"})
        assert sent.status_code == 303, sent.text
        again = visitor.post(f"{path}/answer", data={"text": "From eight on", "comment": "1@social.example"})
        assert again.status_code == 303
        errands = world.asked(stack)
        assert {(each.text, each.thing, each.deed) for each in errands} == {
            ("From eight on", "1@social.example", "answer")
        }
        assert len({each.id for each in errands}) == 1
        on_its_way = visitor.get(sent.headers["location"]).text
        assert "It is on its way to Mastodon" in on_its_way
        assert 'hx-trigger="every 1s"' in on_its_way
        world.project(errands[0])
        world.stands(errands[0], "refused", why="the platform refused it: too <long>")
        shown = visitor.get(sent.headers["location"]).text
        assert "Not done: the platform refused it: too &lt;long&gt;." in shown
        world.stands(errands[0], "refused", 6, why=f"{UNSURE}; look on the platform")
        unsure = visitor.get(sent.headers["location"]).text
        assert "It is not known whether it was sent; look on the platform." in unsure
        assert "Not done" not in unsure
        assert 'hx-trigger="every 1s"' not in shown
        # After a refusal the same can be tried again.
        assert (
            visitor.post(f"{path}/answer", data={"text": "From eight on", "comment": "1@social.example"}).status_code
            == 303
        )
        assert len({each.id for each in world.asked(stack)}) == 2
        assert visitor.post(f"{path}/like", data={"text": "", "comment": "1@social.example"}).status_code == 303
        assert {each.deed for each in world.asked(stack)} == {"answer", "like"}
        empty = visitor.post(f"{path}/answer", data={"text": "  "})
        assert (empty.status_code, "An answer needs a text.<" in empty.text) == (422, True)
        for made_up in (0, 9_999_999_999_999):
            shown = visitor.get(f"{path}?noted=errand-{'0' * 32}&at={made_up}").text
            assert 'hx-trigger="every 1s"' not in shown
        long = visitor.post(f"{path}/answer", data={"text": "é" * 5_001})
        assert "the platform takes 5,000" in html.unescape(long.text)
        assert "é" * 5_001 in long.text
        assert visitor.post(f"{path}/hide", data={}).status_code == 409
        assert visitor.post(f"{path}/explode", data={}).status_code in (404, 422)


def test_what_a_form_is_about_is_what_it_showed(world: World, stack: Running, views: Database[Any]) -> None:
    path = f"/brands/{world.brand}/exchanges/x"
    with logged_in(world.api) as visitor:
        # A comment that was chosen stays chosen where something is wrong with the answer.
        wrong = visitor.post(f"{path}/answer", data={"text": "\u2800", "comment": "1@social.example"})
        assert wrong.status_code == 422
        assert '<option value="1@social.example" selected>' in wrong.text
        gone = visitor.post(f"{path}/answer", data={"text": "From eight on", "comment": "9@social.example"})
        assert gone.status_code == 409
        assert "That comment is not there any more" in gone.text
        assert "From eight on</textarea>" in gone.text
        assert visitor.post(f"/brands/{world.brand}/exchanges/y/answer", data={"text": "hi"}).status_code == 404
        # Where there is only one, nothing has to be chosen; still, a newer one must not be taken for it.
        views["interactions"].delete_many({"object.id": "2@social.example"})
        shown = visitor.get(path).text
        assert '<input type="hidden" name="comment" value="1@social.example">' in shown


def test_comments_without_a_text_can_be_answered_too(world: World, views: Database[Any]) -> None:
    """A picture alone, and a text that the platform's terms let nobody keep any longer."""
    its = {"brand": world.brand, "object.id": "1@social.example"}
    views["interactions"].update_one(its, {"$unset": {"text": ""}})
    with logged_in(world.api) as visitor:
        path = f"/brands/{world.brand}/exchanges/x"
        shown = visitor.get(path)
        assert (shown.status_code, "(no text)" in shown.text) == (200, True)
        views["interactions"].update_one(its, {"$set": {"heard": "…"}})
        shown = visitor.get(path)
        assert (shown.status_code, "Text no longer kept" in shown.text) == (200, True)
        sent = visitor.post(f"{path}/answer", data={"text": "hi", "comment": "1@social.example"})
        assert sent.status_code == 303


def test_who_may_only_read_sees_no_form(world: World) -> None:
    with logged_in(world.api, world.api.key([world.brand], "read")) as visitor:
        page = visitor.get(f"/brands/{world.brand}/exchanges/x").text
        assert "/answer" not in page
        assert visitor.post(f"/brands/{world.brand}/exchanges/x/answer", data={"text": "hi"}).status_code == 403


def test_what_was_answered_to_somebody_who_was_erased_is_gone(world: World, stack: Running) -> None:
    world.ask("answers", text="From eight on, Ada")
    (errand,) = world.asked(stack)
    world.project(errand)
    world.stands(errand, "done")
    batch = Batch()
    batch.erased = [FollowerErased(brand=world.brand, platform="mastodon", follower=ADA.id, at=NOW)]
    writing.write(world.views, batch)
    erasure.follow(TaskRun(world.views, None, datetime.now(UTC)))
    assert world.views["errands"].count_documents({}) == 0
    assert world.views["errand_states"].count_documents({}) == 0
    world.project(errand)
    assert world.views["errands"].count_documents({}) == 0


def test_the_last_state_counts_unless_its_claim_was_lost_and_earlier_versions_states_are_overtaken(
    world: World,
) -> None:
    errand = Errand(
        id="e", brand=world.brand, platform="mastodon", account=world.account, deed="answer", exchange="x",
        follower=ADA.id, thing="c1", thing_kind="comment", by="Grace", at=NOW,
    )  # fmt: skip

    def state() -> Any:
        found = world.views["errand_states"].find_one({"_id": errand.id})
        assert found is not None
        return found["state"]

    world.stands(errand, "sending", 1_000, claim=10, offset=1)
    world.stands(errand, "done", 2_000, claim=50, offset=2)
    world.stands(errand, "sending", 3_000, claim=10, offset=3)
    assert state() == "done"
    world.stands(errand, "waiting", 1_500, claim=50, offset=4)
    assert state() == "waiting"
    world.stands(errand, "sending", 1_500 + PUT_BACK_MS + 1, claim=3, offset=0)
    assert state() == "sending"
    world.views["errand_states"].update_one({"_id": errand.id}, {"$unset": {"claim": "", "offset": ""}})
    world.stands(errand, "done", 1_500, claim=3, offset=1)
    assert state() == "done"


@pytest.mark.parametrize(
    ("days", "state", "shown", "why"),
    [
        (7, None, "asked", None),
        (9, None, "refused", "it could not be sent within 24 hours"),
        (9, "waiting", "refused", "it could not be sent within 24 hours"),
        (9, "sending", "refused", UNSURE),
        (40, "done", "done", None),
    ],
)
def test_what_nobody_looks_at_any_more_has_ended(
    world: World, stack: Running, days: int, state: Any, shown: str, why: str | None
) -> None:
    world.ask("answers", text="From eight on")
    (errand,) = world.asked(stack)
    errand = structs.replace(errand, at=NOW - timedelta(days=days))
    world.project(errand)
    if state is not None:
        world.stands(errand, state)
    (found,) = world.api.client.get(f"/v1/brands/{world.brand}/exchanges/x/errands").json()["items"]
    assert (found["state"], found["why"]) == (shown, why)
