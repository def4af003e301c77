"""An API whose clock is ahead: what is to begin at once does so by MongoDB's clock."""

from datetime import UTC, datetime, timedelta

import pytest

from rapport.contracts.controls import AccountConnected, AccountDisconnected, PolicyVersion
from rapport.kit import clock
from rapport.local.servers.stack import Running
from tests.services.api.conftest import Served, own_brand
from tests.services.api.log import controls, newest

pytestmark = pytest.mark.stack


def test_what_begins_and_ends_now_does_so_now(api: Served, stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    brand, ahead = own_brand(), timedelta(days=3)
    home = f"/v1/brands/{brand}"
    api.brand(brand)
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + ahead)
    account = {"id": f"{brand}-a", "platform": "bluesky", "handle": "acme.example"}
    channels = {"channels": [{"type": "mail", "id": "team", "to": "team@acme.example"}]}
    answers = (
        api.client.post(f"{home}/accounts", json=account),
        api.client.put(f"{home}/policy", json={"rules": [{"target_seconds": 3600}]}),
        api.client.put(f"{home}/channels", json=channels),
        api.client.delete(f"{home}/accounts/{account['id']}"),
        api.client.post(f"{home}/accounts", json=account),
    )
    assert [each.status_code for each in answers] == [201, 200, 200, 200, 201], [each.text for each in answers]
    soon = datetime.now(UTC) + timedelta(hours=1)
    said = controls(stack.kafka, brand)[0]
    times = [each.connected_at for each in said if isinstance(each, AccountConnected)]
    times += [each.disconnected_at for each in said if isinstance(each, AccountDisconnected)]
    times += [each.effective_from for each in said if isinstance(each, PolicyVersion)]
    record = newest(stack.kafka, brand)
    times += [record.accounts[0].connected_at, record.channels_since["team"]]
    assert len(times) >= 6
    assert max(times) < soon, times
