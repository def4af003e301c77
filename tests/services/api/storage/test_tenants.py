"""No route tells one client of another. The routes are taken from the OpenAPI document, so a new one is covered too."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.http.ids import follower_ref
from tests.e2e import portal_data
from tests.services.api.calendar import data as calendar_data
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.communities import data as community_data
from tests.services.api.conftest import Served
from tests.services.api.connecting.world import stored_attempt

pytestmark = pytest.mark.stack

PLAN = {"account": "x", "planned_at": "2026-01-01T00:00:00Z", "text": "x"}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("post", "/v1/brands/{brand}/accounts"): {"id": "x", "platform": "bluesky", "handle": "x"},
    ("patch", "/v1/brands/{brand}/accounts/{account}"): {"handle": "x"},
    ("post", "/v1/brands/{brand}/accounts/{account}/rotate-secret"): {},
    ("put", "/v1/brands/{brand}/policy"): {"rules": []},
    ("post", "/v1/brands/{brand}/policy/preview"): {"rules": []},
    ("post", "/v1/brands/{brand}/exchanges/{id}/no-reply-needed"): {"why": "x"},
    ("put", "/v1/brands/{brand}/channels"): {"channels": []},
    ("post", "/v1/brands/{brand}/campaigns"): {
        "id": "x",
        "kind": "survey",
        "name": "x",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2026-01-02T00:00:00Z",
        "survey": {"questions": []},
    },
    ("post", "/v1/brands/{brand}/connections"): {"vendor": "x"},
    ("patch", "/v1/brands/{brand}/campaigns/{campaign}"): {"name": "x"},
    ("post", "/v1/brands/{brand}/campaigns/{campaign}/draw"): {},
    ("patch", "/v1/brands/{brand}/campaigns/{campaign}/draw"): {"show_winners": True},
    ("post", "/v1/brands/{brand}/campaigns/{campaign}/draw/replacements"): {"winner": "0" * 64, "why": "x"},
    ("post", "/v1/brands/{brand}/campaigns/{campaign}/links"): {"follower": "x"},
    ("post", "/v1/brands/{brand}/communities"): {"id": "x", "name": "x", "rule": "trust > 1"},
    ("post", "/v1/brands/{brand}/communities/check"): {"rule": "trust > 1"},
    ("put", "/v1/brands/{brand}/communities/{community}"): {"name": "x", "rule": "trust > 1"},
    ("post", "/v1/brands/{brand}/calendar/posts"): PLAN,
    ("put", "/v1/brands/{brand}/calendar/posts/{plan}"): PLAN,
    ("post", "/v1/brands/{brand}/calendar/posts/{plan}/refuse"): {"why": "x"},
    ("put", "/v1/brands/{brand}/calendar/matches/{post}"): {"plan": None},
    ("put", "/v1/brands/{brand}/calendar/settings"): {},
    ("put", "/v1/brands/{brand}/consistency/rhythm"): {"posts_per_week": 1},
    ("put", "/v1/brands/{brand}/mix/settings"): {"rules": []},
    ("put", "/v1/brands/{brand}/mix/posts/{id}/label"): {"label": "business"},
    ("put", "/v1/brands/{brand}/new/goal"): {"goal": 1},
    ("post", "/v1/brands/{brand}/identities"): {"a": "x", "b": "y", "why": "z"},
    ("post", "/v1/brands/{brand}/identities/unlink"): {"a": "x", "b": "y", "why": "z"},
}


def _routes(api: Served) -> list[tuple[str, str]]:
    document = api.client.get("/v1/openapi.json").json()
    return [(method, path) for path, methods in document["paths"].items() for method in methods]


def _filled(path: str, brand: str) -> str:
    follower = follower_ref("bluesky", "did:plc:1")
    thing = follower if "followers" in path else "attempt-1" if "connections" in path else "open-1"
    filled = path.replace("{brand}", brand).replace("{id}", thing).replace("{account}", "aurora-account")
    filled = filled.replace("{follower}", follower).replace("{day}", "2026-11-25").replace("{campaign}", "spring")
    return filled.replace("{community}", "coffee").replace("{plan}", "roast").replace("{post}", "roast")


def test_every_route_of_a_foreign_brand_and_of_none_answers_404(api: Served, views: Database[Document]) -> None:
    portal_data.fill(views)
    campaign_data.fill(api, views, portal_data.BRAND)
    community_data.fill(api, views, portal_data.BRAND)
    calendar_data.fill(api, views, portal_data.BRAND)
    views["connection_attempts"].insert_one(stored_attempt(portal_data.BRAND))
    account = {"id": "aurora-account", "platform": "generic", "handle": "aurora"}
    assert api.client.post(f"/v1/brands/{portal_data.BRAND}/accounts", json=account).status_code == 201
    foreign = api.key([portal_data.OTHER], "admin")
    routes = [route for route in _routes(api) if "{brand}" in route[1]]
    assert len(routes) >= 19
    for method, path in routes:
        body = BODIES.get((method, path))
        answers = []
        for client, brand in ((api.with_key(foreign), portal_data.BRAND), (api.client, "nobody")):
            answer = client.request(method, _filled(path, brand), json=body)
            assert answer.status_code == 404, (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            answers.append(answer.json())
        assert answers[0] == answers[1], "a foreign brand must look like one that does not exist"
        if method == "get":
            own = api.client.get(_filled(path, portal_data.BRAND))
            assert own.status_code == 200, (path, own.text)


def test_ids_of_a_foreign_brand_do_not_work_under_ones_own(api: Served, views: Database[Document]) -> None:
    portal_data.fill(views)
    campaign_data.fill(api, views, portal_data.BRAND)
    community_data.fill(api, views, portal_data.BRAND)
    calendar_data.fill(api, views, portal_data.BRAND)
    with api.with_key(api.key([portal_data.OTHER], "admin")) as client:
        for path in ("campaigns/spring", "campaigns/spring/draw", "campaigns/spring/entries", "campaigns/next/answers"):
            assert client.get(f"/v1/brands/{portal_data.OTHER}/{path}").status_code == 404
        assert client.post(f"/v1/brands/{portal_data.OTHER}/campaigns/spring/draw", json={}).status_code == 404
        for path in ("communities/coffee", "communities/coffee/members", "communities/coffee/export"):
            assert client.get(f"/v1/brands/{portal_data.OTHER}/{path}").status_code == 404
        assert client.delete(f"/v1/brands/{portal_data.OTHER}/communities/coffee").status_code == 404
        assert client.get(f"/v1/brands/{portal_data.OTHER}/calendar/posts/roast").status_code == 404
        assert client.delete(f"/v1/brands/{portal_data.OTHER}/calendar/posts/roast").status_code == 404
        for path in ("exchanges/open-1", f"followers/{follower_ref('bluesky', 'did:plc:1')}", "followers/..%2Faurora"):
            assert client.get(f"/v1/brands/{portal_data.OTHER}/{path}").status_code == 404
        views["accounts"].insert_one({"_id": "aurora-account", "brand": portal_data.BRAND, "published": True})
        for method, path, body in (
            ("post", "exchanges/open-1/no-reply-needed", {"why": "x"}),
            ("delete", "exchanges/open-1/no-reply-needed", None),
            ("patch", "accounts/aurora-account", {"handle": "x"}),
            ("post", "accounts/aurora-account/rotate-secret", {}),
            ("delete", "accounts/aurora-account", None),
        ):
            answer = client.request(method, f"/v1/brands/{portal_data.OTHER}/{path}", json=body)
            assert answer.status_code == 404, (path, answer.text)
        listed = client.get(
            f"/v1/brands/{portal_data.OTHER}/exchanges", params={"follower": follower_ref("bluesky", "did:plc:1")}
        )
        assert listed.json()["items"] == []


def test_routes_across_brands_show_only_the_keys_own(api: Served, views: Database[Document]) -> None:
    portal_data.fill(views, datetime.now(UTC))
    own, both = api.key([portal_data.OTHER], "read"), api.key([portal_data.OTHER, portal_data.BRAND], "read")
    for key, brands in ((own, {portal_data.OTHER}), (both, {portal_data.OTHER, portal_data.BRAND})):
        with api.with_key(key) as client:
            assert {each["id"] for each in client.get("/v1/brands").json()["items"]} == brands
            overview = client.get("/v1/overview").json()
            assert {each["brand"] for each in overview["brands"]} == brands
            assert overview["open"] == (6 if portal_data.BRAND in brands else 0)
            items = client.get("/v1/exchanges").json()["items"]
            assert {each["brand"] for each in items} <= brands
            assert bool(items) == (portal_data.BRAND in brands)


@pytest.mark.parametrize(
    "query", ["state[$ne]=open", "state=$ne", "$where=1", "breached=maybe", "limit=0", "limit=201"]
)
def test_operators_and_unknown_values_in_a_query_answer_422(api: Served, query: str) -> None:
    api.brand("aurora")
    answer = api.client.get(f"/v1/brands/aurora/exchanges?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.split("=")[0]


@pytest.mark.parametrize("path", ["exchanges", "followers", "followers?sort=trust", "alerts"])
@pytest.mark.parametrize(
    "cursor", ["x", "W10", "bnVsbA", "eyIkbmUiOjF9", "%00", "W1tbW1tb", "WyJleGNoYW5nZXMiLCJvcGVuIiwxZTk5LCJ4Il0"]
)
def test_a_cursor_that_no_list_gave_answers_422(api: Served, path: str, cursor: str) -> None:
    api.brand("aurora")
    answer = api.client.get(f"/v1/brands/aurora/{path}{'&' if '?' in path else '?'}cursor={cursor}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "cursor"
