"""An account's id as the API accepts it can be used everywhere that names one."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rapport.commands.client import path
from services.api.http.schemas import ACCOUNT_ID_PATTERN
from tests.services.api.campaigns.test_campaigns import RULES
from tests.services.api.conftest import Served

OPENAPI = json.loads((Path(__file__).parents[4] / "docs" / "openapi.json").read_text())
ODD = ("A.b_c:d@e-f", "roastery.shop", "0", "a..b", "did:plc:abc", "x" * 128)
REFUSED = ("", ".", "..", "a/b", "a b", "a%2Fb", "é", "a\n", "a\x00", ".a", "@a", "a?b", "a#b", "x" * 129)


def sent_shapes() -> set[str]:
    """The schemas of what is sent, and what they are made of."""
    found: set[str] = set()

    def follow(part: Any) -> None:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found.add(name)
                follow(OPENAPI["components"]["schemas"][name])
            for inside in part.values():
                follow(inside)
        elif isinstance(part, list):
            for inside in part:
                follow(inside)

    for methods in OPENAPI["paths"].values():
        for operation in methods.values():
            follow(operation.get("requestBody", {}))
            follow(operation.get("parameters", []))
    return found


def patterns(part: Any) -> set[str]:
    """Every pattern within a schema."""
    if isinstance(part, dict):
        return {value for name, value in part.items() if name == "pattern"}.union(*map(patterns, part.values()))
    return set().union(*map(patterns, part)) if isinstance(part, list) else set()


def test_every_place_that_names_an_account_takes_the_ids_that_can_be_given() -> None:
    named = {
        f"{name}.{field}": patterns(schema)
        for name in sent_shapes()
        for field, schema in OPENAPI["components"]["schemas"][name].get("properties", {}).items()
        if field in ("account", "accounts")
    }
    assert len(named) >= 4, "campaigns, their changes, policies and the calendar name accounts"
    assert {place: found for place, found in named.items() if found - {ACCOUNT_ID_PATTERN}} == {}


@pytest.mark.stack
@pytest.mark.parametrize("id", REFUSED)
def test_what_could_not_be_used_everywhere_is_refused_when_the_account_is_made(api: Served, id: str) -> None:
    api.brand("acme")
    body = {"id": id, "platform": "shop", "handle": "h"}
    assert api.client.post("/v1/brands/acme/accounts", json=body).status_code == 422


@pytest.mark.stack
@pytest.mark.parametrize("odd", ODD)
def test_an_odd_id_goes_through_every_route_that_takes_one(api: Served, database: str, odd: str) -> None:
    brand = f"b-{database[5:17]}"
    api.brand(brand)
    account = f"{odd[:100]}{database[5:17]}"
    now = datetime.now(UTC)
    home = f"/v1/brands/{brand}"

    def ask(method: str, where: str, body: Any = None) -> Any:
        answer = api.client.request(method, f"{home}{where}", json=body)
        assert answer.is_success, (where, answer.text)
        return answer.json() if answer.content else None

    ask("POST", "/accounts", {"id": account, "platform": "shop", "handle": "h"})
    ask("PATCH", f"/accounts/{quote(account, safe='')}", {"handle": "other"})
    ask("POST", f"{path('accounts', account)}/rotate-secret", {})
    ask("PUT", "/consistency/rhythm", {"posts_per_week": 3, "accounts": {account: 2}})
    assert ask("GET", "/consistency/rhythm")["accounts"] == {account: 2}
    ask("PUT", "/policy", {"rules": [{"when": {"account": account}, "target_seconds": 3600}, {"target_seconds": 7200}]})
    starts, ends = now + timedelta(days=1), now + timedelta(days=2)
    campaign = {"id": "spring", "kind": "giveaway", "name": "Spring", "accounts": [account], "giveaway": RULES}
    campaign["posts"] = ["at://post"]
    ask("POST", "/campaigns", {**campaign, "starts_at": starts.isoformat(), "ends_at": ends.isoformat()})
    planned = ask("POST", "/calendar/posts", {"account": account, "planned_at": starts.isoformat(), "text": "x"})
    assert ask("GET", f"/calendar/posts/{planned['id']}")["account"] == account
    for page in ("", "/calendar", "/consistency", "/campaigns/spring"):
        assert api.client.get(f"{home}{page}" if page else f"{home}/overview").status_code == 200, page
    assert [one["id"] for one in ask("GET", "/accounts")["items"]] == [account]
    ask("DELETE", path("accounts", account))
    assert ask("GET", "/accounts")["items"] == []
