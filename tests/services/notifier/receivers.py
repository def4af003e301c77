"""Real receivers on this machine: an HTTP server that checks signatures, and a mail server."""

import asyncio
import contextlib
import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd import smtp
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from rapport.contracts.events import WebhookChannel
from rapport.local import ports

SECRET = "whsec_" + "dGhlLXNlY3JldC1vZi10aGlzLXJlY2VpdmVyLWluLXRlc3Rz"


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    return ports.usual_or_free(0)


@dataclass
class Answer:
    """What the receiver answers once: a status with headers, after `until` is set."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    until: threading.Event | None = None


@dataclass(frozen=True)
class Post:
    """One request whose signature was right."""

    id: str
    event: dict[str, Any]
    body: bytes


class WebhookReceiver:
    """Answers each path with its queued answers in turn, then with 200. Requests with a wrong signature get 401."""

    def __init__(self, *, any_time: bool = False) -> None:
        """`any_time`: what is signed for another day than today is right, too."""
        self.posts: dict[str, list[Post]] = defaultdict(list)
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    event = _verified(body, dict(self.headers.items()), any_time)
                except Exception:
                    receiver.refused += 1
                    self._answer(Answer(401))
                    return
                queued = receiver.answers[self.path]
                answer = queued.pop(0) if queued else Answer()
                receiver.posts[self.path].append(Post(self.headers["webhook-id"], event, body))
                if answer.until is not None:
                    answer.until.wait(60)
                self._answer(answer)

            def _answer(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """The tests say what matters."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A sender that hung up, as the tests make it do."""

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{path}"

    def channel(self, id: str, path: str) -> WebhookChannel:
        return WebhookChannel(id=id, url=self.url(path), secret=SECRET)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _verified(body: bytes, headers: dict[str, str], any_time: bool) -> Any:
    """The event of a signed request. Raises WebhookVerificationError."""
    webhook = Webhook(SECRET)
    if not any_time:
        return webhook.verify(body, headers)
    given = {name.lower(): value for name, value in headers.items()}
    signed_at = datetime.fromtimestamp(int(given["webhook-timestamp"]), UTC)
    wanted = webhook.sign(given["webhook-id"], signed_at, body.decode())
    if wanted not in given["webhook-signature"].split():
        raise WebhookVerificationError("the signature is wrong")
    return json.loads(body)


class MailReceiver:
    """A mail server that keeps what it is given; `refuse` may answer a recipient with an SMTP error.

    It takes `step_seconds` for each step of a mail, and answers QUIT with `goodbye`.
    """

    def __init__(
        self,
        refuse: Callable[[str], str | None] = lambda _address: None,
        *,
        step_seconds: float = 0.0,
        goodbye: str = "221 Bye",
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[str] = []
        self.senders: list[str] = []
        receiver = self

        class Handler:
            async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
                self,
                server: smtp.SMTP,
                session: smtp.Session,
                envelope: smtp.Envelope,
                address: str,
                options: list[str],
            ) -> str:
                await asyncio.sleep(step_seconds)
                envelope.mail_from = address
                envelope.mail_options.extend(options)
                return "250 OK"

            async def handle_QUIT(  # noqa: N802 - aiosmtpd's name
                self, server: smtp.SMTP, session: smtp.Session, envelope: smtp.Envelope
            ) -> str:
                return goodbye

            async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
                self,
                server: smtp.SMTP,
                session: smtp.Session,
                envelope: smtp.Envelope,
                address: str,
                options: list[str],
            ) -> str:
                await asyncio.sleep(step_seconds)
                refusal = refuse(address)
                if refusal is None:
                    envelope.rcpt_tos.append(address)
                return refusal or "250 OK"

            async def handle_DATA(  # noqa: N802 - aiosmtpd's name
                self, server: smtp.SMTP, session: smtp.Session, envelope: smtp.Envelope
            ) -> str:
                await asyncio.sleep(step_seconds)
                assert isinstance(envelope.content, bytes)
                mail = message_from_bytes(envelope.content, policy=default)
                assert isinstance(mail, EmailMessage)
                receiver.raw.append(envelope.content)
                receiver.recipients.extend(envelope.rcpt_tos)
                receiver.senders.append(str(envelope.mail_from))
                receiver.mails.append(mail)
                return "250 OK"

        self._controller = Controller(Handler(), hostname="127.0.0.1", port=free_port())
        self._controller.start()

    @property
    def address(self) -> str:
        return f"smtp://127.0.0.1:{self._controller.port}"

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]

    def close(self) -> None:
        self._controller.stop()


class DrippingServer:
    """A mail server that answers without end: another line of its greeting every tenth of a second."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"smtp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, contextlib.suppress(OSError):
            while not self._ended.wait(0.1):
                connection.sendall(b"220-still here\r\n")
