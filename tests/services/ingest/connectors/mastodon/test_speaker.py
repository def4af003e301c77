"""Whether an answer is there already, on servers that show it otherwise than it was sent."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from rapport.contracts.errands import Errand
from rapport.kit.http.outgoing import Guard
from services.ingest.broker import Broker
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.mastodon.speaker import MastodonSpeaker
from services.ingest.polling.api import Turns
from tests.platforms.mastodon import MastodonServer
from tests.services.ingest.connectors.mastodon.client import Client

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("We are open:\n- Monday\n- Friday", "<p>We are open:</p><ul><li>Monday</li><li>Friday</li></ul>"),
        ("Steps:\n1. Open\n2) Close", "<p>Steps:</p><ol><li>Open</li><li>Close</li></ol>"),
        ("# Hours\nMonday", "<h1>Hours</h1><p>Monday</p>"),
        ("Yes\n---\nNo", "<h2>Yes</h2><p>No</p>"),
        ("A &amp; B", "<p>A &amp; B</p>"),
        (r"either\/or\.", r"<p>either\/or.</p>"),
        ("See www.example.com", '<p>See <a href="http://www.example.com"><span>example.com</span></a></p>'),
        ("Great :tada:", "<p>Great 🎉</p>"),
        ("@bo@far.example:8443 Thanks", '<p><a class="mention">@bo</a> Thanks</p>'),
    ],
)
async def test_an_answer_is_found_however_the_server_shows_it(
    server: MastodonServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, shown: str
) -> None:
    client = Client(server)
    speaker, errand = answering(client, tmp_path, text)
    assert await speaker.find(errand) is None
    done = await speaker.do(errand)
    monkeypatch.setattr(server, "_content", lambda *_: shown)
    assert await speaker.find(errand) == done


async def test_only_an_address_stands_before_an_answer(server: MastodonServer, tmp_path: Path) -> None:
    client = Client(server)
    speaker, errand = answering(client, tmp_path, "From eight on")
    ada = server._accounts[client.ada]
    ada.username = "ada see evil.example"
    await speaker.do(errand)
    newest = list(server._statuses.values())[-1]
    assert newest.text == "From eight on"


def answering(client: Client, tmp_path: Path, text: str) -> tuple[MastodonSpeaker, Errand]:
    """A speaker of the client's, and an answer to a comment of Ada's."""
    now = datetime.now(UTC)
    shared = Shared(tmp_path, cast(Broker, None), lambda: now, logging.getLogger("test"), Guard(allow_private=True))
    speaker = MastodonSpeaker(client.account, shared.http(5), Turns(), shared)
    comment = client.comment()
    errand = Errand(
        id="errand", brand=client.brand.id, platform="mastodon", account=client.account.id, deed="answer",
        exchange="exchange", follower=client.full(client.ada), thing=comment, thing_kind="comment", by="kim", at=now,
        text=text,
    )  # fmt: skip
    return speaker, errand
