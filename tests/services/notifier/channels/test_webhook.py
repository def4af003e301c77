"""Webhooks: what an answer means, what is signed, and what is never called."""

import asyncio
import socket
import threading
from datetime import UTC, datetime

import pytest

from rapport.contracts.events import WebhookChannel
from services.notifier.channels import DeliveryError
from services.notifier.channels.webhook import Sender, judge, seconds_of, signed
from tests.services.notifier.receivers import SECRET, WebhookReceiver

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def failure(status: int, retry_after: str | None = None) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        judge(status, retry_after, NOW)
    return raised.value


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_two_hundreds_are_deliveries(status: int) -> None:
    judge(status, None, NOW)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 429, 500, 503])
def test_everything_else_is_tried_again(status: int) -> None:
    assert not failure(status).for_good


def test_gone_is_for_good() -> None:
    assert failure(410).for_good


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Fri, 20 Nov 2026 12:01:00 GMT", 60.0),
        ("Fri, 20 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("Mon, 30 Nov 99999999999999999999 10:00:00 GMT", None),
        ("Mon, 30 Nov 2026 10:00:00 +99999999999999999999", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header, NOW) == seconds


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_é", "whsec_!"])
def test_a_secret_that_is_none_fails_for_good(secret: str) -> None:
    with pytest.raises(DeliveryError, match="secret") as raised:
        signed("id", secret, b"{}", NOW)

    assert raised.value.for_good


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://receiver.example/", "not an https"),
        ("http://receiver.example/", "unencrypted"),
        ("https:///nowhere", "not an https"),
        ("https://xn--localhost-/", "not a host name"),
        ("https://metadata.google.internal/", "not a public address"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://user@2130706433/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data/", "not a public address"),
    ],
)
def test_what_must_not_be_called_is_refused_for_good(url: str, why: str) -> None:
    error = asyncio.run(sent(url, allow_private=False))

    assert error is not None
    assert why in str(error)
    assert error.for_good


def test_a_receiver_on_this_machine_is_not_called_unless_allowed() -> None:
    receiver = WebhookReceiver()
    try:
        error = asyncio.run(sent(receiver.url("/x").replace("http:", "https:"), allow_private=False))
        assert str(error) == "refused: it is not a public address"
        assert receiver.posts["/x"] == []
        assert asyncio.run(sent(receiver.url("/x"), allow_private=True)) is None
        assert [post.id for post in receiver.posts["/x"]] == ["alert/hook"]
    finally:
        receiver.close()


def test_a_receiver_with_another_secret_refuses_the_signature() -> None:
    receiver = WebhookReceiver()
    try:
        error = asyncio.run(sent(receiver.url("/x"), allow_private=True, secret="whsec_b3RoZXI="))
        assert str(error) == "the receiver answered 401"
        assert receiver.refused == 1
    finally:
        receiver.close()


async def sent(url: str, *, allow_private: bool, secret: str = SECRET) -> DeliveryError | None:
    async with Sender(timeout=5, allow_private=allow_private) as sender:
        try:
            await sender.send("alert/hook", WebhookChannel(id="hook", url=url, secret=secret), b'{"type": "x"}')
        except DeliveryError as error:
            return error
    return None


class Abrupt:
    """A receiver that answers 200 and promises a body; then it is silent, or hangs up."""

    def __init__(self, *, hangs_up: bool) -> None:
        self._hangs_up = hangs_up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._ended.set()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            if not self._hangs_up:
                self._ended.wait(60)


@pytest.mark.parametrize("hangs_up", [True, False])
def test_what_follows_the_status_changes_nothing_about_it(*, hangs_up: bool) -> None:
    receiver = Abrupt(hangs_up=hangs_up)
    try:
        assert asyncio.run(sent(receiver.url, allow_private=True)) is None
    finally:
        receiver.close()
