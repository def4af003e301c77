"""The agency's own numbers, from the API through the log and the scorer into the views."""

from pathlib import Path

import pytest

from rapport.domain.relationships.relationship import WEIGHTS
from services.api.http.ids import follower_ref
from tests.services.api.conftest import serve, settings_for
from tests.services.scorer.story import DAY, HOUR, interaction
from tests.services.scorer.worker import broker_now, produce
from tests.services.verify.world import world
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.long]

PATH = "/v1/relationships/scoring"


def test_new_numbers_reach_every_relationship_and_are_the_same_for_verify(tmp_path: Path) -> None:
    with world(tmp_path) as found:
        now = broker_now(found.running)
        produce(
            found.running.kafka,
            [interaction("share", f"s{number}", now - number * DAY, follower=f"f{number}") for number in range(30)],
        )
        followers = found.views["followers"]
        until(lambda: followers.count_documents({}) == 30, "all are there")
        for api in serve(settings_for(found.running.kafka, found.running.mongodb, "rapport"), ready=True):
            api.brand("acme")
            default = api.client.get(PATH).json()
            assert (default["version"], default["weights"]["share"]["trust"]) == (0, WEIGHTS["share"].trust)
            before = api.client.get(f"/v1/brands/acme/followers/{follower_ref('generic', 'f0')}").json()
            share = {"know": 1, "like": 1, "trust": 6, "daily_cap": 2}
            told = {"weights": {"share": share}, "why": "Shares sell."}
            answer = api.client.put(PATH, json=told)
            assert answer.status_code == 200, answer.text
            assert answer.json()["version"] == 1
            until(lambda: followers.count_documents({"scoring": 1}) == 30, "every relationship is summed up anew")
            after = api.client.get(f"/v1/brands/acme/followers/{follower_ref('generic', 'f0')}").json()
            assert (before["stage"], after["stage"]) == ("new", "trusts")
            assert after["trust"] > before["trust"]
            produce(found.running.kafka, [interaction("share", "new", now - HOUR, follower="newcomer")])
            until(lambda: followers.count_documents({"scoring": 1}) == 31, "whoever comes later too")
            versions = api.client.get(f"{PATH}/versions").json()["items"]
            assert [(each["version"], each["why"]) for each in versions] == [(1, "Shares sell."), (0, None)]
            own = api.with_key(api.key(["acme"], "admin"))
            assert own.put(PATH, json=told).status_code == 403
            for body, field in (
                ({**told, "weights": {"poke": share}}, "weights.poke"),
                ({**told, "half_life_days": {"know": 0}}, "half_life_days.know"),
                ({**told, "thresholds": {"likes": -1}}, "thresholds.likes"),
                ({**told, "buys_for_days": 0}, "buys_for_days"),
                ({**told, "why": " "}, "why"),
            ):
                refused = api.client.put(PATH, json=body)
                assert refused.status_code == 422
                assert refused.json()["errors"][0]["field"].startswith(field), refused.text
        found.through()
        outcome = found.verify()
        assert (outcome.differences, outcome.code) == ([], 0)
