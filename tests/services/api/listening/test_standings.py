"""How accounts stand, in the API and in words: from ingest's states and heartbeats as the projector stores them."""

import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from pymongo.database import Database

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat
from rapport.contracts.cursors import AccountState, State
from rapport.contracts.topics import CONVERSATIONS, CURSORS
from rapport.kit.mongo import Document
from services.api.projector import batch
from services.api.projector.views import write
from tests.services.api.conftest import Served, own_brand

pytestmark = pytest.mark.stack

SINCE = datetime(2026, 11, 29, 11, 0, tzinfo=UTC)
CONNECTION = {"service": "https://mastodon.example", "token": "secret"}


@pytest.fixture
def account(api: Served) -> tuple[str, str]:
    """A brand and its account on Mastodon."""
    brand = own_brand()
    api.brand(brand)
    body = {"id": f"{brand}-m", "platform": "mastodon", "handle": "@shop@mastodon.example", "connection": CONNECTION}
    assert api.client.post(f"/v1/brands/{brand}/accounts", json=body).status_code == 201
    return brand, f"{brand}-m"


_OFFSETS = itertools.count()


class _Partition(NamedTuple):
    topic: str


def tell(database: Database[Document], *events: AccountState | Heartbeat) -> None:
    """Puts events through the projector."""
    polled: dict[_Partition, list[Any]] = {}
    for number, event in enumerate(events):
        beat = isinstance(event, Heartbeat)
        topic = CONVERSATIONS.name if beat else CURSORS.name
        record = SimpleNamespace(
            topic=topic, partition=0, offset=next(_OFFSETS), key=b"k", value=codec.encode(event),
            timestamp=int(datetime.now(UTC).timestamp() * 1000) + number,
            headers=codec.headers("rapport.control.v1" if beat else "rapport.cursor.v1", id="x", source="/test"),
        )  # fmt: skip
        polled.setdefault(_Partition(topic), []).append(record)
    found = batch.read(polled)
    assert not found.halts
    assert not found.unreadable
    write(database, found)


def state(brand: str, account: str, state: State, why: str | None = None) -> AccountState:
    return AccountState(
        brand=brand, account=account, platform="mastodon", state=state, since=SINCE, claim=3, why=why,
        checked_at=SINCE - timedelta(minutes=5), latest_at=SINCE - timedelta(hours=2),
    )  # fmt: skip


def standing(api: Served, brand: str, account: str) -> dict[str, Any]:
    one = api.client.get(f"/v1/brands/{brand}/accounts/{account}").json()["standing"]
    (listed,) = api.client.get(f"/v1/brands/{brand}/accounts").json()["items"]
    assert listed["standing"] == one
    return dict(one)


def test_an_account_stands_as_ingest_says(api: Served, views: Database[Document], account: tuple[str, str]) -> None:
    brand, name = account
    beat = Heartbeat(instance=f"ingest-{brand}", behind=())
    tell(views, state(brand, name, "live"), beat)
    found = standing(api, brand, name)
    assert (found["state"], found["why"]) == ("live", None)
    assert datetime.fromisoformat(found["checked_at"]) == SINCE - timedelta(minutes=5)
    why = "the platform does not accept its token any more"
    tell(views, state(brand, name, "attention", why))
    found = standing(api, brand, name)
    assert (found["state"], found["why"]) == ("attention", why)
    assert datetime.fromisoformat(found["since"]) == SINCE
    tell(views, state(brand, name, "live"), Heartbeat(instance=f"ingest-{brand}", behind=(name,)))
    assert standing(api, brand, name)["state"] == "behind"
    # What it was when it was asked says nothing once it is not asked any more.
    tell(views, state(brand, name, "attention", why), beat)
    assert api.client.patch(f"/v1/brands/{brand}/accounts/{name}", json={"connection": {}}).status_code == 200
    assert standing(api, brand, name)["state"] == "live"


def test_a_page_with_a_token_stands_as_it_is_asked_and_one_without_is_only_pushed(
    api: Served, views: Database[Document]
) -> None:
    brand = own_brand()
    api.brand(brand)
    name, page = f"{brand}-f", {"page": f"4{int(datetime.now(UTC).timestamp() * 1e6)}"}
    body = {"id": name, "platform": "facebook", "handle": "Shop", "connection": {**page, "token": "secret"}}
    assert api.client.post(f"/v1/brands/{brand}/accounts", json=body).status_code == 201
    why = "Facebook pushes nothing of this page"
    tell(views, state(brand, name, "attention", why), Heartbeat(instance=f"ingest-{brand}", behind=()))
    found = standing(api, brand, name)
    assert (found["state"], found["why"]) == ("attention", why)
    assert found["checked_at"] is not None
    assert api.client.patch(f"/v1/brands/{brand}/accounts/{name}", json={"connection": page}).status_code == 200
    found = standing(api, brand, name)
    assert (found["state"], found["checked_at"]) == ("live", None)
