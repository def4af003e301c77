"""Who is the same person: linked by hand, by suggestion and by a file; taken back exactly."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kafka import TopicPartition
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import PersonTold
from rapport.contracts.events import Actor
from rapport.contracts.topics import CONVERSATIONS
from rapport.domain.identity import MOST_MEMBERS
from rapport.kit.broker import kafka
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.http.ids import follower_ref
from services.api.identities.upkeep import tell
from services.api.projector.batch import read
from services.api.projector.upkeep.loop import TaskRun
from services.api.projector.views import write
from tests.services.api import samples
from tests.services.api.conftest import Served
from tests.services.api.log import everything
from tests.services.scorer.story import record

pytestmark = pytest.mark.stack

NOW = datetime.now(UTC).replace(microsecond=0)
PLATFORMS = ("bluesky", "mastodon", "shop")
HOME = "/v1/brands/lantern/identities"


def ref(platform: str, name: str = "ada") -> str:
    """A follower's id in lists."""
    return follower_ref(platform, name)


@pytest.fixture
def lantern(api: Served, views: Database[Document]) -> Served:
    """A brand with the same person on three platforms, who bought in the shop."""
    api.brand("lantern")
    for platform in PLATFORMS:
        row = samples.follower("ada", "lantern", NOW, worth={"know": 3.0, "trust": 1.0}, platform=platform)
        row.last_purchase_at = NOW if platform == "shop" else None
        views["followers"].insert_one(samples.stored_follower(row))
    return api


def linked(api: Served, one: str, other: str) -> Any:
    """Links two of ada's followers."""
    return api.client.post(HOME, json={"a": ref(one), "b": ref(other), "why": "She said so."})


def state(views: Database[Document]) -> list[Any]:
    """All that links make, without who said when."""
    return [(each["a"], each["b"]) for each in views["links"].find().sort("_id")]


def test_linked_followers_are_one_person_whose_dimensions_add_up(lantern: Served) -> None:
    for one, other in (("bluesky", "mastodon"), ("shop", "mastodon")):
        answer = linked(lantern, one, other)
        assert answer.status_code == 201, answer.text
        assert answer.json()["source"] == "api"
    person = lantern.client.get(f"{HOME}/{ref('bluesky')}").json()
    assert [each["platform"] for each in person["followers"]] == sorted(PLATFORMS)
    assert (person["stage"], len(person["links"])) == ("buys", 2)
    alone = lantern.client.get(f"/v1/brands/lantern/followers/{ref('bluesky')}").json()
    assert person["know"] > alone["know"]
    assert lantern.client.get(f"{HOME}/{ref('shop')}").json()["id"] == person["id"]


def test_unlinking_is_the_exact_inverse_and_both_are_in_the_log(lantern: Served, views: Database[Document]) -> None:
    linked(lantern, "bluesky", "mastodon")
    before, person = state(views), lantern.client.get(f"{HOME}/{ref('bluesky')}").json()
    linked(lantern, "mastodon", "shop")
    taken_back = {"a": ref("shop"), "b": ref("mastodon"), "why": "Another Ada."}
    assert lantern.client.post(f"{HOME}/unlink", json=taken_back).status_code == 204
    assert state(views) == before
    assert lantern.client.get(f"{HOME}/{ref('bluesky')}").json() == person
    alone = lantern.client.get(f"{HOME}/{ref('shop')}").json()
    assert ([each["platform"] for each in alone["followers"]], alone["links"]) == (["shop"], [])
    assert lantern.client.post(f"{HOME}/unlink", json=taken_back).status_code == 404
    log = lantern.client.get(f"{HOME}/log").json()["items"]
    assert [(each["what"], each["why"]) for each in log] == [
        ("unlinked", "Another Ada."),
        ("linked", "She said so."),
        ("linked", "She said so."),
    ]
    first = lantern.client.get(f"{HOME}/log?limit=2").json()
    rest = lantern.client.get(f"{HOME}/log?limit=2&cursor={first['next']}").json()
    assert [*first["items"], *rest["items"]] == log


@pytest.mark.parametrize(
    ("one", "other", "status", "says"),
    [
        (ref("bluesky"), ref("bluesky"), 422, "the same person as itself"),
        (ref("bluesky"), ref("bluesky", "nobody"), 422, "no such follower"),
        (ref("bluesky"), "what?", 422, "not a follower's id"),
    ],
)
def test_a_bad_link_is_refused_with_the_field_and_the_reason(
    lantern: Served, views: Database[Document], one: str, other: str, status: int, says: str
) -> None:
    answer = lantern.client.post(HOME, json={"a": one, "b": other, "why": "x"})
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert answer.json()["errors"][0]["field"] == "b"
    assert state(views) == []


def test_the_same_link_again_and_one_too_many_are_refused(lantern: Served, views: Database[Document]) -> None:
    linked(lantern, "bluesky", "mastodon")
    assert linked(lantern, "mastodon", "bluesky").status_code == 409
    names = [f"n{number:02}" for number in range(MOST_MEMBERS)]
    views["followers"].insert_many([samples.stored_follower(samples.follower(name, "lantern", NOW)) for name in names])
    for one, other in itertools.pairwise(names):
        said = {"a": ref("bluesky", one), "b": ref("bluesky", other), "why": "x"}
        assert lantern.client.post(HOME, json=said).status_code == 201
    answer = lantern.client.post(HOME, json={"a": ref("bluesky", "n05"), "b": ref("shop"), "why": "x"})
    assert (answer.status_code, "21 followers" in answer.json()["detail"]) == (422, True)


def test_every_follower_of_a_person_is_told_what_the_others_bring_once_per_change(
    lantern: Served, views: Database[Document], stack: Running
) -> None:
    producer = kafka.producer(stack.kafka, "test")
    try:
        run = TaskRun(views, producer, NOW)

        def told() -> list[PersonTold]:
            seen = {(each.platform, each.revision) for each in _told(stack)}
            tell(run)
            return [each for each in _told(stack) if (each.platform, each.revision) not in seen]

        linked(lantern, "bluesky", "shop")
        found = {each.platform: each for each in told()}
        assert set(found) == {"bluesky", "shop"}
        assert found["bluesky"].last_purchase_at == NOW
        assert found["shop"].last_purchase_at is None
        assert (found["bluesky"].shadow, found["shop"].shadow) == (False, True)
        assert found["bluesky"].person == found["shop"].person
        assert told() == []
        views["followers"].update_one(
            {"_id": "lantern/bluesky/ada"},
            {"$set": {"person": "p", "version": 99, "written_at": NOW, "sums.know": 777.0}},
        )
        (changed,) = told()
        assert (changed.platform, changed.revision, changed.sums["know"]) == ("shop", 2, 777.0)
        lantern.client.post(f"{HOME}/unlink", json={"a": ref("shop"), "b": ref("bluesky"), "why": "x"})
        ends = {each.platform: (each.person, each.sums, each.shadow) for each in told()}
        assert ends == {"bluesky": (None, {}, False), "shop": (None, {}, False)}
    finally:
        producer.close()


@pytest.mark.parametrize("linked_when_taken", [True, False])
def test_after_a_restore_rows_that_were_told_more_than_is_stored_are_told_what_is_right(
    lantern: Served, views: Database[Document], stack: Running, linked_when_taken: bool
) -> None:
    producer = kafka.producer(stack.kafka, "test")
    try:
        run = TaskRun(views, producer, NOW)
        before = len(_told(stack))
        if linked_when_taken:
            linked(lantern, "bluesky", "shop")
            tell(run)
        # The scorer's rows have heard of five revisions, the database that was restored of one or none.
        for platform in ("bluesky", "shop"):
            views["followers"].update_one(
                {"_id": f"lantern/{platform}/ada"},
                {"$set": {"person": "p", "shadow": True, "person_revision": 5, "version": 99, "written_at": NOW}},
            )
        tell(run)
        told = {each.platform: each for each in _told(stack)[before:]}
        assert {each.revision for each in told.values()} == {6}
        assert {each.person is not None for each in told.values()} == {linked_when_taken}
        if linked_when_taken:
            lantern.client.post(f"{HOME}/unlink", json={"a": ref("shop"), "b": ref("bluesky"), "why": "x"})
            tell(run)
            told = {each.platform: each for each in _told(stack)[before:]}
            assert {(each.revision, each.person) for each in told.values()} == {(7, None)}
        views["followers"].update_many({"person_revision": 5}, {"$set": {"person_revision": 6}})
        many = len(_told(stack))
        tell(run)
        assert len(_told(stack)) == many
    finally:
        producer.close()


def _told(stack: Running) -> list[PersonTold]:
    found = []
    for each in everything(stack.kafka, CONVERSATIONS):
        if codec.type_of(each.headers) == "rapport.control.v1":
            event = codec.decode("rapport.control.v1", each.value)
            if isinstance(event, PersonTold) and event.brand == "lantern":
                found.append(event)
    return found


def test_only_verified_links_both_ways_are_suggested(lantern: Served, views: Database[Document]) -> None:
    profiles = {
        "bluesky": Actor(id="ada", url="https://sky.example/ada", links=("https://mast.example/@ada",)),
        "mastodon": Actor(id="ada", url="https://mast.example/@ada", links=("https://www.sky.example/Ada/",)),
        "shop": Actor(id="ada", name="Ada", url="https://shop.example/ada", links=("https://sky.example/ada",)),
    }
    said = [
        *(
            samples.interaction(f"{platform}-1", "lantern", NOW, platform=platform, actor=actor)
            for platform, actor in profiles.items()
        ),
        samples.interaction(
            "older", "lantern", NOW - timedelta(days=1), platform="mastodon", actor=Actor(id="ada", url="x.example")
        ),
    ]
    write(views, read({TopicPartition(CONVERSATIONS.name, 0): [record(each, 0) for each in said]}))
    (found,) = lantern.client.get(f"{HOME}/suggestions").json()["items"]
    assert (found["a"]["id"], found["b"]["id"]) == (ref("bluesky"), ref("mastodon"))
    linked(lantern, "mastodon", "bluesky")
    assert lantern.client.get(f"{HOME}/suggestions").json()["items"] == []


def test_pairs_that_are_one_person_by_way_of_others_are_not_suggested_however_many_there_are(
    lantern: Served, views: Database[Document]
) -> None:
    said = []
    for number in range(30):
        pair = [(f"https://{side}.example/{number}", f"{side}{number}") for side in "ab"]
        for (url, name), (other, _) in (pair, pair[::-1]):
            actor = Actor(id=name, url=url, links=(other,))
            said.append(samples.interaction(name, "lantern", NOW, actor=actor))
        names = [f"{name}{number}" for name in "axyzb"]
        views["followers"].insert_many(
            [samples.stored_follower(samples.follower(name, "lantern", NOW)) for name in names]
        )
        for one, other in itertools.pairwise(names):
            pairs = {"a": ref("bluesky", one), "b": ref("bluesky", other), "why": "x"}
            if number:
                assert lantern.client.post(HOME, json=pairs).status_code == 201
    write(views, read({TopicPartition(CONVERSATIONS.name, 0): [record(each, 0) for each in said]}))
    (only,) = lantern.client.get(f"{HOME}/suggestions").json()["items"]
    assert {only["a"]["id"], only["b"]["id"]} == {ref("bluesky", "a0"), ref("bluesky", "b0")}


FILE = """platform_a,follower_a,platform_b,follower_b,why
bluesky,ada,mastodon,ada,she said so
bluesky,ada,bluesky,ada,the same
bluesky,ada,shop,nobody,a typing error
bluesky,,shop,ada,nothing
shop,ada,mastodon,ada,"in the shop, she said so"
"""


def test_a_file_is_taken_only_where_it_is_agreed_to_and_every_bad_row_is_named(
    lantern: Served, views: Database[Document]
) -> None:
    def sent(text: str, path: str = "import") -> Any:
        return lantern.client.post(f"{HOME}/{path}", content=text.encode(), headers={"Content-Type": "text/csv"})

    first = sent(FILE).json()
    assert (first["good"], first["imported"], state(views)) == (2, 0, [])
    assert [(each["line"], each["column"]) for each in first["bad"]] == [
        (3, "follower_b"),
        (4, "follower_b"),
        (5, "follower_a"),
    ]
    assert "nobody" in first["bad"][1]["why"]
    second = sent(FILE, "import?agree=true").json()
    assert (second["imported"], second["already"], len(state(views))) == (2, 0, 2)
    assert sent(FILE, "import?agree=true").json()["already"] == 2
    wrong = sent("a,b\n1,2\n")
    assert wrong.status_code == 422
    assert "unknown column a" in wrong.json()["detail"]
    unreadable = lantern.client.post(f"{HOME}/import", content=b"\xff\xfea").json()
    assert unreadable["detail"].startswith("file: it is not text")
