"""A small inbox for the demonstration: a mail server, a webhook receiver that checks signatures, and a page."""

import base64
import json
import secrets
import socket
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd import smtp
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from rapport.demo import inbox_page
from rapport.demo.inbox_page import Received

LARGEST_BODY = 1_000_000
SECRET_BYTES = 32
DOMAIN = "inbox.example"
HOST = "127.0.0.1"


class Inbox:
    """Listens on free ports of this machine until closed."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        self.refused = 0
        """How many webhooks had a wrong signature."""
        self._lock = threading.Lock()
        self._received: dict[tuple[str, str], Received] = {}
        self._mail = Controller(_MailHandler(self), hostname=HOST, port=_free_port())
        self._mail.start()
        self._web = _serve(self)

    @property
    def page(self) -> str:
        """The address for a browser."""
        return f"http://{HOST}:{self._web.server_port}"

    @property
    def smtp(self) -> str:
        """The address of the mail server, for RAPPORT_SMTP."""
        return f"smtp://{HOST}:{self._mail.port}"

    def webhook_of(self, brand: str) -> str:
        """Where a brand's webhooks go."""
        return f"{self.page}/webhooks/{brand}"

    @staticmethod
    def mailbox_of(brand: str) -> str:
        """Where a brand's mails go."""
        return f"{brand}@{DOMAIN}"

    def received(self) -> list[Received]:
        """What has arrived, newest first."""
        with self._lock:
            return sorted(self._received.values(), key=lambda one: one.at, reverse=True)

    def take_mail(self, mail: EmailMessage) -> None:
        """Keeps a mail."""
        body = mail.get_body(("plain",))
        text = body.get_content() if body is not None else ""
        # A subject that was folded right after the header's name keeps the blank of the fold.
        subject = str(mail["Subject"]).strip()
        brand = str(mail["To"]).partition("@")[0]
        found = Received(str(mail["Message-ID"]), "mail", datetime.now(UTC), brand, subject, text, _link_in(text))
        self._keep(found)

    def take_webhook(self, brand: str, body: bytes, headers: Mapping[str, str]) -> bool:
        """Keeps a webhook if its signature is right, and returns whether it was."""
        try:
            event = Webhook(self.secret).verify(body, dict(headers))
        except (WebhookVerificationError, ValueError):
            with self._lock:
                self.refused += 1
            return False
        told = event["data"]
        self._keep(
            Received(
                id={name.lower(): value for name, value in headers.items()}["webhook-id"],
                way="webhook",
                at=datetime.now(UTC),
                brand=brand,
                subject=_subject(event["type"], told),
                text=json.dumps(event, indent=2, ensure_ascii=False),
                link=told.get("link"),
                step=told.get("step"),
                exchange=told.get("exchange"),
            )
        )
        return True

    def _keep(self, found: Received) -> None:
        with self._lock:
            self._received.setdefault((found.way, found.id), found)

    def close(self) -> None:
        """Stops listening."""
        self._mail.stop()
        self._web.shutdown()
        self._web.server_close()


class _MailHandler:
    """The handler that aiosmtpd calls."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self,
        server: smtp.SMTP,  # noqa: ARG002 - aiosmtpd's signature
        session: smtp.Session,  # noqa: ARG002
        envelope: smtp.Envelope,
    ) -> str:
        content = envelope.content
        if not isinstance(content, bytes):
            return "554 no content"
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self._inbox.take_mail(mail)
        return "250 kept"


def _subject(kind: str, told: dict[str, Any]) -> str:
    """A webhook in one line: about a follower who waits, or a post that is missing."""
    follower = told.get("follower")
    if follower is None:
        return f"{kind}: planned for {told['planned_at']} on {told['platform']}"
    return f"{kind}: @{follower.get('handle') or follower['id']} on {told['platform']}"


def _serve(inbox: Inbox) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self._say(200, inbox_page.PAGE.encode(), "text/html")
            elif self.path == "/list":
                self._say(200, inbox_page.items(inbox.received()).encode(), "text/html")
            elif self.path == "/inbox.js":
                self._say(200, inbox_page.SCRIPT.encode(), "text/javascript")
            elif self.path == "/inbox.css":
                self._say(200, inbox_page.STYLE.encode(), "text/css")
            else:
                self._say(404, b"not found\n", "text/plain")

        def do_POST(self) -> None:
            brand = self.path.removeprefix("/webhooks/")
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > LARGEST_BODY or brand == self.path:
                self._say(400, b"not a webhook\n", "text/plain")
                return
            fine = inbox.take_webhook(brand, self.rfile.read(int(length)), dict(self.headers.items()))
            self._say(204 if fine else 401, b"", "text/plain")

        def _say(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{content_type}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            # What is shown here came from strangers.
            self.send_header("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing: the page shows what arrived."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, name="inbox", daemon=True).start()
    return server


def _link_in(text: str) -> str | None:
    marker = "In Rapport: "
    return next((line.removeprefix(marker) for line in text.splitlines() if line.startswith(marker)), None)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port
