"""One person on two platforms, from the API through the log and the scorer into the views and the clocks."""

from pathlib import Path

import pytest
from msgspec import structs

from rapport.contracts.controls import PolicyRule, PolicyVersion, When
from rapport.domain.times import utc
from services.api.http.ids import follower_ref
from tests.services.api.conftest import serve, settings_for
from tests.services.scorer.story import HOUR, interaction
from tests.services.scorer.worker import broker_now, produce
from tests.services.verify.world import world
from tests.waiting import until

pytestmark = pytest.mark.stack


def test_a_buyer_in_the_shop_is_answered_as_a_buyer_where_she_comments(tmp_path: Path) -> None:
    with world(tmp_path) as found:
        now = broker_now(found.running)
        rules = (PolicyRule(when=When(stage=("buys",)), target_seconds=4 * 3600), PolicyRule(target_seconds=86_400))
        found.control(PolicyVersion(brand="acme", version=1, effective_from=utc(now - 24 * HOUR), rules=rules))
        bought = structs.replace(interaction("purchase", "p1", now - HOUR, amount="9.90"), platform="shop")
        produce(found.running.kafka, [bought, interaction("share", "s1", now - HOUR)])
        followers, exchanges = found.views["followers"], found.views["exchanges"]
        until(lambda: followers.count_documents({"follower": "ada"}) == 2, "both are there")

        def held(platform: str) -> object:
            document = followers.find_one({"_id": f"acme/{platform}/ada"})
            assert document is not None
            return document["stage"], document["person"] is not None, document["shadow"]

        assert (held("generic"), held("shop")) == (("new", False, False), ("buys", False, False))
        for api in serve(settings_for(found.running.kafka, found.running.mongodb, "rapport"), ready=True):
            api.brand("acme")
            pair = {"a": follower_ref("generic", "ada"), "b": follower_ref("shop", "ada"), "why": "The same mail."}
            assert api.client.post("/v1/brands/acme/identities", json=pair).status_code == 201
            until(lambda: held("generic") == ("buys", True, False), "she is a buyer where she comments")
            until(lambda: held("shop") == (None, True, True), "she is shown once")
            listed = api.client.get("/v1/brands/acme/followers").json()["items"]
            assert [(each["platform"], each["stage"]) for each in listed] == [("generic", "buys")]
            produce(found.running.kafka, [interaction("comment", "c1", now)])
            until(lambda: exchanges.count_documents({"stage_wanted": False}) == 1, "her comment has a clock")
            (exchange,) = exchanges.find()
            assert exchange["due_at"] == utc(now + 4 * HOUR)
            assert api.client.post("/v1/brands/acme/identities/unlink", json=pair).status_code == 204
            until(lambda: held("generic") == ("new", False, False), "she is what she was")
            until(lambda: held("shop") == ("buys", False, False), "and so is the other")
        found.through()
        outcome = found.verify()
        assert (outcome.differences, outcome.code) == ([], 0)
