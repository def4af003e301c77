"""Secrets of clients in the database and in the log: sealed, sealed again with another key, and still of use."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path
from typing import Any

import pytest
from bson import json_util
from pymongo.database import Database

from rapport.contracts.brands import Brands
from rapport.contracts.events import WebhookChannel
from rapport.contracts.sealed import door_place
from rapport.contracts.topics import BRANDS, key_of
from rapport.kit.health import Health
from rapport.kit.mongo import Document
from rapport.kit.sealing import PREFIX, Sealer, new_key
from rapport.local.servers.stack import Running
from services.ingest.directory import Directory
from services.notifier.directory import Directory as Channels
from tests.faults.broker import OwnBroker
from tests.services.api.conftest import Served, own_brand, serve, settings_for
from tests.services.scorer.worker import read_all
from tests.waiting import until

pytestmark = pytest.mark.stack

OLD, NEW = new_key("old"), new_key("new")


@pytest.fixture(scope="module")
def servers(stack: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With a broker of these tests' own: whoever else reads these brands has no key to open their secrets."""
    broker = OwnBroker(tmp_path_factory.mktemp("broker"))
    yield Running(broker.kafka, stack.mongodb)
    broker.end()


@contextmanager
def api(servers: Running, views: Database[Document], file: Path | None) -> Iterator[Served]:
    settings = settings_for(servers.kafka, servers.mongodb, views.name)
    yield from serve(settings.model_copy(update={"sealing_keys": file}), ready=True)


def keys(folder: Path, *lines: str) -> Path:
    file = folder / f"keys-{len(list(folder.iterdir()))}"
    file.write_text("\n".join(lines))
    return file


def connected(served: Served, brand: str) -> tuple[str, str]:
    """A brand with an account and a webhook, and their secrets."""
    served.brand(brand)
    account = {"id": f"{brand}-help", "platform": "helpdesk", "handle": "Help"}
    answer = served.client.post(f"/v1/brands/{brand}/accounts", json=account)
    assert answer.status_code == 201, answer.text
    hook = {"type": "webhook", "id": "hook", "url": "https://hooks.example/x"}
    told = served.client.put(f"/v1/brands/{brand}/channels", json={"channels": [hook]})
    assert told.status_code == 200, told.text
    return answer.json()["door_secret"], told.json()["channels"][0]["secret"]


def stored(servers: Running, views: Database[Document], brand: str, newest: bool = True) -> str:
    """All that database and log have of a brand. Of the log the newest record, or all."""
    records = [each.value.decode() for each in read_all(servers.kafka, BRANDS) if each.key == key_of(brand)]
    documents = [*views["accounts"].find({"brand": brand}), *views["brands"].find({"_id": brand})]
    return json_util.dumps(documents) + "".join(records[-1:] if newest else records)


def known(servers: Running, brand: str, file: Path | None) -> tuple[tuple[str, ...], str | None]:
    """What ingest and the notifier make of it: the secrets of the door, and of the webhook."""
    sealer, health = Sealer.of(file), Health()
    directory = Directory(servers.kafka, health, getLogger("test"), sealer)
    read: list[bool] = []
    directory.listen(lambda: read.append(True))
    directory.start()
    until(lambda: read, "the brands are read")
    directory.stop()
    found = directory.account(f"{brand}-help")
    channels = Channels.caught_up(servers.kafka, sealer)
    channel = channels.channel(brand, "hook")
    channels.close()
    assert channel is None or isinstance(channel, WebhookChannel)
    return found[1].door_secrets if found else (), channel.secret if channel else None


def test_neither_database_nor_log_shows_a_secret_and_those_who_need_it_have_it(
    servers: Running, views: Database[Document], tmp_path: Path
) -> None:
    brand, file = own_brand(), keys(tmp_path, OLD)
    with api(servers, views, file) as served:
        door, hook = connected(served, brand)
        first = stored(servers, views, brand, newest=False)
        rotated = served.client.post(f"/v1/brands/{brand}/accounts/{brand}-help/rotate-secret", json={}).json()
        lists = ("accounts", "channels")
        again = "".join(served.client.get(f"/v1/brands/{brand}/{each}").text for each in lists)
    everything = stored(servers, views, brand, newest=False)
    for secret in (door, hook, rotated["door_secret"]):
        assert secret not in first + everything + again
    assert PREFIX in first
    assert PREFIX not in again
    assert known(servers, brand, file) == ((rotated["door_secret"], door), hook)


def test_without_the_key_the_brand_waits_and_the_door_does_not_turn_its_senders_away(
    servers: Running, views: Database[Document], tmp_path: Path
) -> None:
    brand, file = own_brand(), keys(tmp_path, OLD)
    with api(servers, views, file) as served:
        connected(served, brand)
    assert known(servers, brand, None) == ((), None)
    brands = Brands(Sealer().open)
    for record in read_all(servers.kafka, BRANDS):
        brands.take(record)
    assert brand in brands.hidden()
    assert "sealed with the key 'old', which is not in RAPPORT_SEALING_KEYS" in (brands.unreadable(brand) or "")


def test_secrets_get_the_new_key_also_those_that_had_none_and_all_stay_the_same(
    servers: Running, views: Database[Document], tmp_path: Path
) -> None:
    plain, sealed = own_brand(), own_brand()
    with api(servers, views, None) as served:
        before = connected(served, plain)
        assert served.client.post("/v1/secrets/seal", json={}).status_code == 409
    with api(servers, views, keys(tmp_path, OLD)) as served:
        beside = connected(served, sealed)
    both = keys(tmp_path, NEW, OLD)
    with api(servers, views, both) as served:
        done = served.client.post("/v1/secrets/seal", json={}).json()
        assert done == {"sealed_with": "new", "secrets": 4, "failed": {}}
        assert served.client.post("/v1/secrets/seal", json={}).json()["secrets"] == 0
        few = served.with_key(served.key([plain], "admin"))
        assert few.post("/v1/secrets/seal", json={}).status_code == 403
    alone = keys(tmp_path, NEW)
    for brand, (door, hook) in ((plain, before), (sealed, beside)):
        text = stored(servers, views, brand)
        assert f"{PREFIX}new." in text
        assert f"{PREFIX}old." not in text
        assert door not in text
        assert hook not in text
        assert known(servers, brand, alone) == ((door,), hook)


def test_a_brand_whose_secrets_cannot_be_opened_is_named_and_the_others_are_sealed(
    servers: Running, views: Database[Document], tmp_path: Path
) -> None:
    lost, fine = own_brand(), own_brand()
    with api(servers, views, keys(tmp_path, OLD)) as served:
        connected(served, lost)
    with api(servers, views, None) as served:
        connected(served, fine)
    with api(servers, views, keys(tmp_path, NEW)) as served:
        before = stored(servers, views, lost)
        done: dict[str, Any] = json.loads(served.client.post("/v1/secrets/seal", json={}).text)
    assert done["secrets"] == 2
    assert list(done["failed"]) == [lost]
    assert "the key 'old'" in done["failed"][lost]
    assert stored(servers, views, lost) == before


def test_a_secret_moved_to_another_account_opens_nothing_there(
    servers: Running, views: Database[Document], tmp_path: Path
) -> None:
    brand, file = own_brand(), keys(tmp_path, OLD)
    with api(servers, views, file) as served:
        connected(served, brand)
    (account,) = views["accounts"].find({"brand": brand})
    with pytest.raises(ValueError, match="belongs elsewhere"):
        Sealer.of(file).open(door_place("another"), account["door_secrets"][0])


def test_a_platforms_token_is_sealed_and_gets_the_new_key_and_ingest_has_it(
    servers: Running, views: Database[Document], tmp_path: Path
) -> None:
    brand, token, other = own_brand(), "a-token-of-a-platform", "the-next-token"
    where = {"service": "https://mastodon.example"}
    account = {"id": f"{brand}-help", "platform": "mastodon", "handle": "@help@mastodon.example"}
    with api(servers, views, keys(tmp_path, OLD)) as served:
        served.brand(brand)
        made = {**account, "connection": {**where, "token": token}}
        answer = served.client.post(f"/v1/brands/{brand}/accounts", json=made)
        assert answer.status_code == 201, answer.text
        path = f"/v1/brands/{brand}/accounts/{brand}-help"
        changed = served.client.patch(path, json={"connection": {**where, "token": other}})
        assert changed.status_code == 200, changed.text
        shown = answer.text + changed.text + served.client.get(f"/v1/brands/{brand}/accounts").text
    with api(servers, views, file := keys(tmp_path, NEW, OLD)) as served:
        assert served.client.post("/v1/secrets/seal", json={}).json()["failed"] == {}
    assert f"{PREFIX}old" not in stored(servers, views, brand)
    everything = shown + stored(servers, views, brand, newest=False)
    assert token not in everything
    assert other not in everything
    brands = Brands(Sealer.of(file).open)
    for record in read_all(servers.kafka, BRANDS):
        brands.take(record)
    told = brands.get(brand)
    assert told is not None
    assert told.accounts[0].connection == {**where, "token": other}
