"""Each delivery of X is charged for, whatever it says; sent again on the same day, it is the same charge."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from rapport.contracts.charges import Charge
from services.ingest.broker import charge_record
from tests.deliveries import HOOKS, OBSERVED_AT, Recorded, lookup, recorded

RECORDED = [one for one in recorded() if one.platform == "x"]


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: one.name)
def test_every_event_is_one_charge_also_one_that_says_nothing_here(one: Recorded) -> None:
    found = one.read(one.body).charges
    # What is no event of the X Activity API is paid for otherwise, or not at all.
    assert len(found) == ("data" in json.loads(one.body))
    for charge in found:
        assert charge.what == json.loads(one.body)["data"]["event_type"]
        assert msgspec.json.decode(charge_record(charge).value, type=Charge) == charge


def event(**more: Any) -> bytes:
    data = {"event_uuid": "-7", "filter": {"user_id": "1"}, "event_type": "profile.update.bio", "payload": {}, **more}
    return json.dumps({"data": data}).encode()


def test_it_is_the_accounts_if_somebody_connected_it_and_nobodys_else() -> None:
    ours = lookup("x", [{"id": "1", "brand": "roastery", "account": "roastery-x"}])
    (charge,) = HOOKS["x"].read(event(), ours, OBSERVED_AT).charges
    assert (charge.brand, charge.account) == ("roastery", "roastery-x")
    (charge,) = HOOKS["x"].read(event(filter={"user_id": "2"}), ours, OBSERVED_AT).charges
    assert (charge.brand, charge.account) == (None, None)
    (charge,) = HOOKS["x"].read(event(filter=None), ours, OBSERVED_AT).charges
    assert charge.brand is None


def test_on_the_same_day_it_is_the_same_charge_and_on_the_next_another() -> None:
    read = HOOKS["x"].read
    (first,) = read(event(), lambda _: (), OBSERVED_AT).charges
    (again,) = read(event(), lambda _: (), OBSERVED_AT + timedelta(hours=11)).charges
    (later,) = read(event(), lambda _: (), OBSERVED_AT + timedelta(hours=12)).charges
    (other,) = read(event(event_uuid="8"), lambda _: (), OBSERVED_AT).charges
    assert first.id == again.id
    assert len({first.id, later.id, other.id}) == 3
    (unnamed,) = read(event(event_uuid=None), lambda _: (), OBSERVED_AT).charges
    (same,) = read(event(event_uuid=None), lambda _: (), OBSERVED_AT).charges
    assert unnamed.id == same.id
    sent_again = json.dumps({**json.loads(event(event_uuid=None)), "meta": {"replay": True}}).encode()
    (replayed,) = read(sent_again, lambda _: (), OBSERVED_AT).charges
    assert replayed.id == unnamed.id, "that it is sent again makes it no other event"
    (another,) = read(event(event_uuid=None, payload={"bio": "new"}), lambda _: (), OBSERVED_AT).charges
    assert another.id != unnamed.id


def test_only_x_charges() -> None:
    for one in recorded():
        if one.platform != "x":
            assert one.read(one.body).charges == []


def test_what_is_sent_again_because_it_was_asked_for_is_known() -> None:
    again = msgspec.json.decode(event())
    assert not HOOKS["x"].read(json.dumps(again).encode(), lambda _: (), OBSERVED_AT).again
    assert HOOKS["x"].read(json.dumps({**again, "meta": {"replay": True}}).encode(), lambda _: (), OBSERVED_AT).again
