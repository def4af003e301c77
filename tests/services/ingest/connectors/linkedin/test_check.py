"""What goes wrong with the look at the subscription says nothing against what has been read."""

import json
import logging
from collections.abc import Mapping
from datetime import timedelta

import pytest

from rapport.contracts.events import Account
from services.ingest.connectors.linkedin.reader import LinkedInReader, refused
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import AttentionError, AwayError, LimitedError
from tests.services.ingest.connectors.kept import Answers, Clock, Kept, shared

pytestmark = pytest.mark.anyio
PAGE = "urn:li:organization:7"


class World:
    """A page of which nothing is new, and how LinkedIn answers when its subscription is asked for."""

    def __init__(self, subscription: Exception | bytes) -> None:
        self.now = Clock()
        self.subscription = subscription
        self.api = Answers(self._answer)
        account = Account(
            id="account", platform="linkedin", handle="Roastery", connected_at=self.now() - timedelta(hours=1),
            door_secrets=("secret",), connection={"organization": PAGE, "token": "t", "member": "urn:li:person:a"},
        )  # fmt: skip
        watched = Watched("brand", account, PAGE, frozenset([PAGE]))
        self.reader = LinkedInReader(
            account, Kept(account, self.now), lambda: watched, self.api, self.api, "4242", shared(self.now)
        )

    def _answer(self, path: str, asked: Mapping[str, str]) -> bytes:
        if "eventSubscriptions" not in path:
            return json.dumps({"elements": [], "paging": {"start": 0, "count": 50, "links": []}}).encode()
        if isinstance(self.subscription, Exception):
            raise self.subscription
        return self.subscription


@pytest.mark.parametrize("status", [400, 401, 403, 426])
async def test_a_refused_look_needs_attention_and_everything_was_read(status: int) -> None:
    error = refused(status, b"{}", Clock()())
    assert isinstance(error, AttentionError)
    assert not error.complete
    world = World(error)
    with pytest.raises(AttentionError, match="does not say whether it still pushes") as found:
        await world.reader.read()
    assert found.value.complete


@pytest.mark.parametrize(
    "answer",
    [AwayError("it answered 500", incident=True), LimitedError(60.0), b"<html>"],
    ids=["away", "limit", "html"],
)
async def test_a_look_without_an_answer_is_logged_and_tried_again(
    answer: Exception | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(answer)
    with caplog.at_level(logging.WARNING):
        await world.reader.read()
    assert "its subscription was not looked at" in caplog.text
    world.now.at += timedelta(minutes=15)
    await world.reader.read()
    assert world.api.count("eventSubscriptions") == 2
