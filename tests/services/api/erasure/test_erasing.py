"""A person who was erased is gone from every collection, and every figure is right without them."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from bson.json_util import dumps
from pymongo.database import Database

from rapport.contracts.controls import FollowerErased
from rapport.contracts.topics import CONVERSATIONS
from rapport.domain.erasing import ERASED
from rapport.domain.times import utc
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.http.ids import follower_ref
from services.api.projector import views as writing
from services.api.projector.batch import Batch
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.upkeep.tasks import TASKS
from tests.services.api import facts, samples
from tests.services.api.conftest import Served, own_brand
from tests.services.api.log import controls
from tests.services.api.publishing.test_publisher import cut_off
from tests.services.api.test_figures import BRAND, differing, kept

pytestmark = pytest.mark.stack
__all__ = ["cut_off", "kept"]

PEOPLE = ("did:plc:mira", "ada", "did:plc:new-1-0", "good", "late", "did:plc:1", "never-seen")
"""Who took part in campaigns, is linked, began with a post, was answered in time and late, was reached, and nobody."""


def erase(views: Database[Document], stack: Running, *followers: str) -> None:
    """As the projector and the upkeep hear of it, until both are through."""
    at = utc(1_790_000_000_000)
    batch = Batch()
    batch.erased = [FollowerErased(brand=BRAND, platform="bluesky", follower=follower, at=at) for follower in followers]
    writing.write(views, batch)
    producer = kafka.producer(stack.kafka, "test")
    for turn in range(4):
        for task in TASKS:
            task.run(TaskRun(views, producer, datetime.now(UTC) + turn * (LATER + timedelta(seconds=1))))
    producer.close()


def told_of(views: Database[Document], follower: str) -> dict[str, list[str]]:
    """The documents that name somebody, by collection."""
    found: dict[str, list[str]] = {}
    for collection in views.list_collection_names():
        for each in views[collection].find():
            if re.search(rf'["/]{re.escape(follower)}["/]', dumps(each)):
                found.setdefault(collection, []).append(each["_id"])
    return found


def test_nothing_names_them_and_every_figure_is_right_without_them(
    stack: Running, kept: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {name for follower in PEOPLE for name in told_of(kept, follower)}
    assert named >= {
        *("interactions", "followers", "exchanges", "beginnings", "campaign_entries", "survey_answers"),
        *("links", "link_log", "linked", "stage_after", "community_members", "community_events"),
    }
    effects = kept["answer_effects"].count_documents({})
    posts = {each["_id"]: each["comments"] for each in kept["posts"].find()}
    erase(kept, stack, *PEOPLE)
    assert {follower: told_of(kept, follower) for follower in PEOPLE} == {each: {} for each in PEOPLE}
    assert kept["answer_effects"].count_documents({}) == effects
    assert {each["_id"]: each["comments"] for each in kept["posts"].find()} != posts
    ended = kept["exchanges"].find({"follower.id": ERASED}, {"state": 1, "first": 1})
    assert sorted((each["state"], str(each["first"])) for each in ended) == [
        ("answered", str({"id": ERASED})),
        ("answered_late", str({"id": ERASED})),
    ]
    assert differing(kept, monkeypatch) == set()


def test_what_is_written_again_or_comes_later_does_not_come_back(
    stack: Running, kept: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    erase(kept, stack, "did:plc:new-1-0")
    at = datetime.now(UTC).replace(microsecond=0)
    facts.write(kept, *facts.lately(BRAND), samples.follower("did:plc:new-1-0", BRAND, at))
    facts.write(kept, facts.on("lately-1", "later", BRAND, at, "did:plc:new-1-0"))
    facts.turns(kept)
    assert told_of(kept, "did:plc:new-1-0") == {}
    assert differing(kept, monkeypatch) == set()


def test_who_had_begun_to_write_before_they_knew_is_cleared_up_after_later(
    stack: Running, kept: Database[Document]
) -> None:
    batch = Batch()
    batch.erased = [FollowerErased(brand=BRAND, platform="bluesky", follower="did:plc:slow", at=utc(0))]
    writing.write(kept, batch)
    producer = kafka.producer(stack.kafka, "test")
    (erasing, *_) = TASKS
    erasing.run(TaskRun(kept, producer, datetime.now(UTC)))
    monkey = facts.on("lately-1", "slow", BRAND, datetime.now(UTC), "did:plc:slow")
    with pytest.MonkeyPatch.context() as unaware:
        unaware.setattr("services.api.projector.erasing.leave_out", lambda *_: None)
        facts.write(kept, monkey)
    # The notifier wrote it before the projector knew of the alert.
    payload = {"platform": "bluesky", "follower": {"id": "did:plc:slow", "name": "Slow"}, "first": {"id": "c"}}
    kept["deliveries"].insert_one({"_id": "x/hook", "brand": BRAND, "alert": "x", "payload": payload})
    assert told_of(kept, "did:plc:slow").keys() >= {"interactions", "erased", "deliveries"}
    erasing.run(TaskRun(kept, producer, datetime.now(UTC) + LATER + timedelta(seconds=1)))
    assert told_of(kept, "did:plc:slow") == {}
    producer.close()


def test_every_partition_has_it_before_the_answer(api: Served, stack: Running, views: Database[Document]) -> None:
    brand = own_brand()
    api.brand(brand)
    with api.with_key(api.key([brand], "write")) as client:
        answer = client.delete(f"/v1/brands/{brand}/followers/{follower_ref('bluesky', 'did:plc:ada')}")
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"brand", "platform", "at", "known"}
    said = controls(stack.kafka, brand)
    assert len(said) == CONVERSATIONS.partitions
    for found in said.values():
        (erased,) = (each for each in found if isinstance(each, FollowerErased))
        assert (erased.platform, erased.follower) == ("bluesky", "did:plc:ada")


def test_where_the_log_is_away_it_is_said_and_can_be_sent_again(cut_off: Served) -> None:
    cut_off.client.post("/v1/brands", json={"id": BRAND, "name": "Lighthouse"})
    answer = cut_off.client.delete(f"/v1/brands/{BRAND}/followers/{follower_ref('bluesky', 'did:plc:ada')}")
    assert answer.status_code in (404, 503), answer.text


@pytest.mark.parametrize("ref", ["not-one", "YQ"])
def test_what_is_no_followers_id_is_refused(api: Served, ref: str) -> None:
    api.brand(BRAND)
    answer = api.client.delete(f"/v1/brands/{BRAND}/followers/{ref}")
    assert (answer.status_code, answer.json()["detail"]) == (404, "there is no follower here that this key can see")
