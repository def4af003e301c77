"""Sends alerts by mail, through the installation's mail server."""

import contextlib
import hashlib
import logging
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from rapport.kit.http.addresses import in_turn
from rapport.kit.mail_address import MailAddressError, in_ascii
from services.notifier.channels import DeliveryError
from services.notifier.channels.mail_header import header_text
from services.notifier.wording import Message

log = logging.getLogger("rapport.notifier.mail")

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
GOODBYE_SECONDS = 2.0
PERMANENT = 500  # SMTP replies from here on mean that the same message will be refused again


@dataclass(frozen=True, repr=False)
class MailServer:
    """The server that takes the mail."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, url: str) -> "MailServer":
        """`smtp://`, `smtp+starttls://` or `smtps://`, `[user:password@]host[:port]`. Raises ValueError.

        The error never repeats the URL, which may hold a password.
        """
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"a mail server is {', '.join(f'{scheme}://host' for scheme in PORTS)}")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("a mail server's address ends after its host and port")
        if parts.username and parts.scheme == "smtp":
            raise ValueError("a password needs smtps:// or smtp+starttls://; smtp:// would send it in the open")
        return cls(
            parts.scheme,
            parts.hostname,
            parts.port or PORTS[parts.scheme],
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
        )


class _AsWritten(EmailPolicy):
    """Sends headers exactly as they were set.

    The standard policies read a header before they send it, and so turn a follower's name that looks like an encoded
    word into what it stands for, line breaks included (CVE-2024-6923; later versions encode the line breaks again, but
    still decode the rest).
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return name, str(value)


_POLICY = _AsWritten(linesep="\r\n", refold_source="none")


def compose(id: str, about: str, sender: str, to: str, message: Message, at: datetime) -> EmailMessage:
    """The mail of a delivery: text and HTML. Its Message-ID comes from the delivery's `id`, so that a repeated mail is
    recognised as the same one. Mails about the same thing (an exchange, a planned post) share a thread.
    Raises DeliveryError for an address that cannot work.
    """
    name, sending = parseaddr(sender)
    try:
        receiving = in_ascii(to)
    except MailAddressError as error:
        raise DeliveryError(f"not a mail address: {error}", for_good=True) from error
    try:
        sending = in_ascii(sending)
    except MailAddressError as error:
        # The operator can repair this, and then these mails should still go out.
        raise DeliveryError(f"RAPPORT_MAIL_FROM is not a mail address: {error}") from error
    host = sending.rpartition("@")[2]
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = f"{header_text('From', name, always=True)} <{sending}>" if name else sending
    mail["To"] = receiving
    mail["Subject"] = header_text("Subject", message.subject)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = message_id(id, host)
    mail["References"] = message_id(about, host)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(message.html, subtype="html")
    return mail


def message_id(name: str, host: str) -> str:
    """A Message-ID that is the same for the same name, whatever characters it has."""
    return f"<{hashlib.sha256(name.encode()).hexdigest()[:32]}@{host}>"


def send(server: MailServer, mail: EmailMessage, timeout: float) -> None:
    """Hands a mail over. Blocks for up to `timeout` seconds in all, plus the time to look up the server's name and to
    say goodbye. Raises DeliveryError.
    """
    until = time.monotonic() + timeout
    try:
        with _connected(server, until) as session:
            # Not `send_message`, which reads the headers again and writes them its own way.
            session.sendmail(parseaddr(str(mail["From"]))[1], [str(mail["To"])], mail.as_bytes())
    except smtplib.SMTPRecipientsRefused as error:
        code, answer = next(iter(error.recipients.values()))
        raise DeliveryError(f"recipient refused: {code} {_shown(answer)}", for_good=code >= PERMANENT) from error
    except smtplib.SMTPDataError as error:
        why = f"mail refused: {error.smtp_code} {_shown(error.smtp_error)}"
        raise DeliveryError(why, for_good=error.smtp_code >= PERMANENT) from error
    except smtplib.SMTPResponseException as error:
        # Login or sender refused: the operator can repair this, and then these mails should still go out.
        log.error("the mail server refused us: %d %s", error.smtp_code, _shown(error.smtp_error))
        raise DeliveryError(f"the installation's mail server refused it with {error.smtp_code}") from error
    except (smtplib.SMTPException, OSError) as error:
        log.error("the mail server at %s:%d failed: %s: %s", server.host, server.port, type(error).__name__, error)
        if time.monotonic() >= until:
            raise DeliveryError(f"the installation's mail server took longer than {timeout:g} s") from error
        raise DeliveryError("the installation's mail server does not answer properly") from error


@contextlib.contextmanager
def _connected(server: MailServer, until: float) -> Iterator[smtplib.SMTP]:
    with contextlib.closing(_Cutter()) as cutter:
        session = _Session(server, cutter, until)
        try:
            if server.scheme == "smtp+starttls":
                session.starttls(context=ssl.create_default_context())
            if server.user:
                session.login(server.user, server.password or "")
            yield session
        finally:
            # The server has taken the mail or it has not. Its answer to a goodbye changes nothing.
            cutter.cut_at(time.monotonic() + GOODBYE_SECONDS)
            with contextlib.suppress(smtplib.SMTPException, OSError, ValueError):
                session.quit()
            session.close()


class _Session(smtplib.SMTP):
    """A session that ends at one moment, however many steps it takes and however slowly each is answered."""

    def __init__(self, server: MailServer, cutter: "_Cutter", until: float) -> None:
        self._cutter = cutter
        self._until = until
        self._tls = ssl.create_default_context() if server.scheme == "smtps" else None
        super().__init__(server.host, server.port)

    def _get_socket(self, host: str, port: int, _timeout: float) -> socket.socket:
        connection = _connection(host, port, self._until)
        self._cutter.hold(connection)
        self._cutter.cut_at(self._until)
        return connection if self._tls is None else self._tls.wrap_socket(connection, server_hostname=host)


class _Cutter:
    """Lets another thread cut a connection. The handle stays the same when TLS starts."""

    def __init__(self) -> None:
        self._handle: socket.socket | None = None
        self._timer: threading.Timer | None = None

    def hold(self, connection: socket.socket) -> None:
        """Takes the connection."""
        self._handle = connection.dup()

    def cut_at(self, moment: float) -> None:
        """Cuts it at a moment of the monotonic clock, instead of the one set before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(max(0.0, moment - time.monotonic()), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Lets go of it."""
        if self._timer is not None:
            self._timer.cancel()
        if self._handle is not None:
            self._handle.close()

    def _cut(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)


def _connection(host: str, port: int, until: float) -> socket.socket:
    """A connection to the first address that accepts one. Raises OSError."""
    failure = OSError("the mail server's name has no address")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for (family, kind, protocol, _, address), seconds in in_turn(found, until):
        if until <= time.monotonic():
            raise TimeoutError("no connection in time")
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(seconds)
            connection.connect(address)
            connection.settimeout(max(0.001, until - time.monotonic()))
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _shown(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
