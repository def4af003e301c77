"""The demonstration's inbox: it takes what is signed, refuses what is not, and shows words as words."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from rapport.contracts import codec
from rapport.contracts.events import Notice
from rapport.contracts.topics import ALERTS, REMINDERS
from rapport.demo import inbox_page
from rapport.demo.inbox import Inbox
from rapport.demo.inbox_page import Received
from services.notifier.channels.webhook import body_of, signed

EVENT = {
    "type": "alert.breach",
    "data": {
        "follower": {"id": "1", "handle": "ada"},
        "platform": "bluesky",
        "step": "breach",
        "exchange": "x",
        "link": "/",
    },
}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    try:
        yield found
    finally:
        found.close()


def post(inbox: Inbox, secret: str, id: str = "alert/hook", body: bytes = msgspec.json.encode(EVENT)) -> int:
    headers = signed(id, secret, body, datetime.now(UTC))
    request = urllib.request.Request(inbox.webhook_of("acme"), body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_signed_webhook_is_kept_once(inbox: Inbox) -> None:
    assert [post(inbox, inbox.secret), post(inbox, inbox.secret)] == [204, 204]

    (kept,) = inbox.received()
    assert (kept.brand, kept.way, kept.subject) == ("acme", "webhook", "alert.breach: @ada on bluesky")


def test_a_webhook_with_another_secret_is_refused(inbox: Inbox) -> None:
    assert post(inbox, "whsec_b3RoZXI=") == 401
    assert inbox.received() == []
    assert inbox.refused == 1


NOTICES = sorted((Path(codec.__file__).parent / "examples").glob("rapport.*s.v1/*.json"))


def notices() -> list[Any]:
    """An example of everything that the notifier tells a brand."""
    found = [json.loads(file.read_text()) for file in NOTICES]
    decoded = [codec.decode(one["type"], json.dumps(one["value"]).encode()) for one in found if one["type"] in _TOLD]
    return [one for one in decoded if isinstance(one, get_args(Notice))]


_TOLD = {kind for topic in (ALERTS, REMINDERS) for kind in topic.types}


def test_there_is_an_example_of_every_notice() -> None:
    assert {type(one) for one in notices()} == set(get_args(Notice))


@pytest.mark.parametrize("notice", notices(), ids=lambda notice: f"{type(notice).__name__}-{notice.id}")
def test_every_webhook_that_the_notifier_sends_is_kept(inbox: Inbox, notice: Any) -> None:
    assert post(inbox, inbox.secret, body=body_of(notice, "http://127.0.0.1/brands/acme")) == 204
    (kept,) = inbox.received()
    assert inbox.refused == 0
    assert notice.platform in kept.subject
    assert kept.link == "http://127.0.0.1/brands/acme"


def test_the_page_and_what_it_needs_are_served(inbox: Inbox) -> None:
    for path in ("/", "/list", "/inbox.js", "/inbox.css"):
        with urllib.request.urlopen(inbox.page + path, timeout=10) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")


def test_words_from_outside_are_shown_as_words() -> None:
    hostile = "<script>alert(1)</script>\"'"
    shown = inbox_page.items([Received(hostile, "mail", datetime.now(UTC), "acme", hostile, hostile, "javascript:1")])

    assert "<script>" not in shown
    assert "javascript:" not in shown
    assert "&lt;script&gt;" in shown
