"""Alerts by mail, through the installation's mail server."""

import contextlib
import hashlib
import logging
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from rapport.kit.mail_address import MailAddressError, in_ascii
from services.notifier.channels import DeliveryError
from services.notifier.channels.mail_header import header_text
from services.notifier.wording import Message

log = logging.getLogger("rapport.notifier.mail")

PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
PERMANENT = 500  # SMTP replies from here on mean that the same message will be refused again


@dataclass(frozen=True, repr=False)
class MailServer:
    """Where mail is handed in."""

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
    """The mail of a delivery: text and HTML, with a Message-ID derived from the delivery's `id`, so that a repetition
    shows as the same mail. Mails about one thing (an exchange, a planned post) share a thread. Raises DeliveryError for
    an address that cannot work.
    """
    name, sending = parseaddr(sender)
    try:
        receiving = in_ascii(to)
    except MailAddressError as error:
        raise DeliveryError(f"not a mail address: {error}", for_good=True) from error
    try:
        sending = in_ascii(sending)
    except MailAddressError as error:
        # The installation's to repair, and then these mails shall still go out.
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
    """Hands a mail in. Blocks, each step for up to `timeout` seconds. Raises DeliveryError."""
    try:
        with _connected(server, timeout) as session:
            # Not `send_message`, which reads the headers again and writes them its own way.
            session.sendmail(parseaddr(str(mail["From"]))[1], [str(mail["To"])], mail.as_bytes())
    except smtplib.SMTPRecipientsRefused as error:
        code, answer = next(iter(error.recipients.values()))
        raise DeliveryError(f"recipient refused: {code} {_shown(answer)}", for_good=code >= PERMANENT) from error
    except smtplib.SMTPDataError as error:
        why = f"mail refused: {error.smtp_code} {_shown(error.smtp_error)}"
        raise DeliveryError(why, for_good=error.smtp_code >= PERMANENT) from error
    except smtplib.SMTPResponseException as error:
        # Login or sender refused: the installation's to repair, and then these mails shall still go out.
        log.error("the mail server refuses us: %d %s", error.smtp_code, _shown(error.smtp_error))
        raise DeliveryError(f"the installation's mail server refused it with {error.smtp_code}") from error
    except (smtplib.SMTPException, OSError) as error:
        log.error("the mail server at %s:%d fails: %s: %s", server.host, server.port, type(error).__name__, error)
        raise DeliveryError("the installation's mail server does not answer as it should") from error


@contextlib.contextmanager
def _connected(server: MailServer, timeout: float) -> Iterator[smtplib.SMTP]:
    if server.scheme == "smtps":
        context = ssl.create_default_context()
        session: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=timeout, context=context)
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=timeout)
    with session:
        if server.scheme == "smtp+starttls":
            session.starttls(context=ssl.create_default_context())
        if server.user:
            session.login(server.user, server.password or "")
        yield session


def _shown(answer: bytes | str) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
