"""What a vendor answers to a request to send what happens on an account, whatever it is."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.connecting.vendors.asking import Asking, VendorError
from services.api.connecting.vendors.table import VENDORS
from services.api.connecting.vendors.vendor import App, Connected, Pushed, Visit

odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 2**70, 1.5, "", "x", "\u202e", [], [None], ["x", 1], {}, {"id": []}]
)
names = st.sampled_from([
    "data", "success", "id", "url", "filter", "user_id", "event_type", "webhook_id", "subscription_id", "meta",
    "next_token", "subscribed_fields", "created_at",
])  # fmt: skip
known = odd | st.sampled_from(["app", "user", "https://i.example/v1/platforms/x", "true", ["feed"]])
item = st.dictionaries(names, known | st.dictionaries(names, known, max_size=3), max_size=8)
answers = st.lists(st.dictionaries(names, known | st.lists(item, max_size=3), max_size=5), min_size=1, max_size=5)
CONNECTED = Connected(
    {"page": "1", "user": "user", "organization": "urn:li:organization:1", "member": "urn:li:person:1", "token": "t"},
    frozenset({"dm.read", "pages_messaging"}),
)


class Says:
    """Answers whatever it is asked with the next of some answers, over and over."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self._answers = answers
        self._asked = 0

    async def get(self, *_: Any, **__: Any) -> dict[str, Any]:
        self._asked += 1
        return self._answers[self._asked % len(self._answers)]

    change = get


@pytest.mark.parametrize("name", sorted(name for name, each in VENDORS.items() if each.subscribes))
@given(answers=answers)
def test_an_odd_answer_is_understood_or_refused(name: str, answers: list[dict[str, Any]]) -> None:
    vendor = VENDORS[name]()
    app = App("app", "secret", number="1", bearer="b", webhook="https://i.example/v1/platforms/linkedin")
    visit = Visit(cast(Asking, Says(answers)), app, datetime.now(UTC))
    try:
        found = asyncio.run(vendor.subscribe(visit, CONNECTED))
    except VendorError:
        pass
    else:
        assert isinstance(found, Pushed)
        assert found.what
    if vendor.unsubscribes:
        with suppress(VendorError):
            asyncio.run(vendor.unsubscribe(visit, CONNECTED))
