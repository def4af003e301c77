"""Mail against a real mail server."""

import base64
import re
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import compat32, default
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rapport.kit.mail_address import MailAddressError, in_ascii
from rapport.kit.text import one_line
from services.notifier.channels import DeliveryError
from services.notifier.channels.mail import MailServer, compose, send
from services.notifier.settings import NotifierSettings
from services.notifier.wording import SUBJECT_CHARACTERS, Message
from tests.services.notifier.receivers import DrippingServer, MailReceiver, free_port

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MESSAGE = Message("Overdue: @žofie has waited 24 h for Acme on Bluesky", "plain ❤️\n", "<p>html ❤️</p>\n")
SENDER = "Rapport <rapport@agency.example>"


@pytest.fixture
def receiver() -> Iterator[MailReceiver]:
    found = MailReceiver(
        refuse={"nobody@acme.example": "550 no such user", "full@acme.example": "452 mailbox full"}.get
    )
    try:
        yield found
    finally:
        found.close()


def sent(receiver: MailReceiver, to: str = "team@acme.example", id: str = "alert/team") -> None:
    send(MailServer.parse(receiver.address), compose(id, "exchange", SENDER, to, MESSAGE, NOW), timeout=5)


def test_a_mail_has_a_plain_and_an_html_part_and_says_that_a_machine_wrote_it(receiver: MailReceiver) -> None:
    sent(receiver)

    (mail,) = receiver.mails
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert (plain.get_content().strip(), html.get_content().strip()) == ("plain ❤️", "<p>html ❤️</p>")
    assert mail["Subject"] == MESSAGE.subject
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_delivery_that_is_repeated_has_the_same_message_id_and_another_has_another(receiver: MailReceiver) -> None:
    sent(receiver)
    sent(receiver)
    sent(receiver, id="alert/other")

    first, second, other = receiver.mails
    assert first["Message-ID"] == second["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@agency.example>")
    assert first["References"] == other["References"]


def test_an_unknown_recipient_is_for_good_and_a_full_mailbox_is_not(receiver: MailReceiver) -> None:
    with pytest.raises(DeliveryError, match="550 no such user") as unknown:
        sent(receiver, "nobody@acme.example")
    with pytest.raises(DeliveryError, match="452 mailbox full") as full:
        sent(receiver, "full@acme.example")

    assert unknown.value.for_good
    assert not full.value.for_good


def test_a_mail_server_that_is_away_is_tried_again() -> None:
    server = MailServer.parse(f"smtp://127.0.0.1:{free_port()}")
    mail = compose("alert/team", "exchange", SENDER, "team@acme.example", MESSAGE, NOW)

    with pytest.raises(DeliveryError, match="mail server") as raised:
        send(server, mail, timeout=5)

    assert not raised.value.for_good


def test_where_an_address_of_a_mail_server_drops_what_it_is_sent_the_next_is_tried(
    receiver: MailReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its queue is full, so it answers nothing, as a machine does that is down.
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(full.getsockname())
    server = MailServer.parse(receiver.address)
    kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    both: Any = [(*kind, full.getsockname()), (*kind, (server.host, server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    try:
        send(server, compose("alert/team", "exchange", SENDER, "team@acme.example", MESSAGE, NOW), timeout=8)
    finally:
        for each in (*waiting, full):
            each.close()
    assert len(receiver.mails) == 1


def test_each_answer_may_take_what_is_left_of_the_time_however_many_addresses_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = MailReceiver(step_seconds=2.0)
    server = MailServer.parse(slow.address)
    same: Any = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (server.host, server.port))] * 4
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: same)
    try:
        send(server, compose("alert/team", "exchange", SENDER, "team@acme.example", MESSAGE, NOW), timeout=7.5)
    finally:
        slow.close()
    assert len(slow.mails) == 1


def test_all_steps_of_a_mail_share_one_deadline() -> None:
    server = DrippingServer()
    ended = threading.Timer(20, server.close)  # so that a mail without a deadline fails here too
    ended.start()
    try:
        with pytest.raises(DeliveryError, match="took longer than 1 s") as raised:
            send(
                MailServer.parse(server.address),
                compose("alert/team", "exchange", SENDER, "team@acme.example", MESSAGE, NOW),
                timeout=1,
            )
        assert not raised.value.for_good
        assert not server.ended
    finally:
        ended.cancel()
        server.close()


@pytest.mark.parametrize("goodbye", ["221 Bye", "500 no", "421 too busy", "nonsense", ""])
def test_a_mail_that_was_taken_is_sent_whatever_the_server_says_to_the_goodbye(goodbye: str) -> None:
    receiver = MailReceiver(refuse={"nobody@acme.example": "550 no such user"}.get, goodbye=goodbye)
    try:
        sent(receiver)
        assert len(receiver.mails) == 1
        with pytest.raises(DeliveryError, match="550 no such user") as raised:
            sent(receiver, "nobody@acme.example")
        assert raised.value.for_good
    finally:
        receiver.close()


@pytest.mark.parametrize("to", ["", "nobody", "a@b, c@d", "a@b\r\nBcc: c@d", "a b@c"])
def test_an_impossible_address_fails_for_good(to: str) -> None:
    with pytest.raises(DeliveryError, match="not a mail address") as raised:
        compose("alert/team", "exchange", SENDER, to, MESSAGE, NOW)

    assert raised.value.for_good


def test_a_mail_server_is_named_by_a_url_with_its_usual_port() -> None:
    assert MailServer.parse("smtp://127.0.0.1:2525") == MailServer("smtp", "127.0.0.1", 2525)
    assert MailServer.parse("smtps://me:p%40ss@mail.example") == MailServer("smtps", "mail.example", 465, "me", "p@ss")
    assert MailServer.parse("smtp+starttls://mail.example").port == 587


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mail.example", "a mail server is"),
        ("http://mail.example", "a mail server is"),
        ("smtp://", "a mail server is"),
        ("smtp://me:geheim@mail.example", "in the open"),
        ("smtps://mail.example/path", "ends after"),
    ],
)
def test_a_wrong_mail_server_stops_the_start_without_repeating_the_password(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_SMTP", url)

    with pytest.raises(ValueError, match=why) as raised:
        NotifierSettings()

    assert "geheim" not in str(raised.value)


def test_the_password_is_not_in_what_is_logged_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_SMTP", "smtps://me:geheim@mail.example")

    assert "geheim" not in NotifierSettings().described()


ENCODED_WORDS = [
    "=?utf-8?q?a=0D=0A=0D=0ACall_+1_555_0100_now!=0D=0A?=",
    "=?utf-8?b?4oCuZXZpbA==?=",
    "=?utf-8?q?a=00b?= =?utf-8?q?=E2=80=AEc?=",
    "=?iso-8859-1?q?=0ABcc:_x@y.example?=",
]


@pytest.mark.parametrize("name", ENCODED_WORDS)
def test_a_name_that_looks_like_an_encoded_word_arrives_as_it_was_written(receiver: MailReceiver, name: str) -> None:
    subject = f"Overdue: {name} has waited 24 hours for Acme on Bluesky"
    composed = compose("a", "b", SENDER, "team@acme.example", Message(subject, f"{name}\n", f"<p>{name}</p>"), NOW)
    send(MailServer.parse(receiver.address), composed, timeout=5)

    (raw,) = receiver.raw
    head, _, body = raw.partition(b"\r\n\r\n")
    assert [line.split(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in b" \t"] == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "References",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    ]
    assert body.startswith(b"--")
    assert read(raw) == subject
    assert name in str(receiver.mails[0].get_body(("plain",)).get_content())  # type: ignore[union-attr]


SCRIPTS = [(0x20, 0x7E), (0xA0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x620, 0x64A), (0x904, 0x939)]
CHARACTERS = st.one_of(
    *(st.characters(min_codepoint=first, max_codepoint=last) for first, last in SCRIPTS),
    st.characters(min_codepoint=0x3041, max_codepoint=0x30FF),
    st.characters(min_codepoint=0x4E00, max_codepoint=0x4FFF),
    st.characters(min_codepoint=0x1F300, max_codepoint=0x1F64F),
    st.sampled_from([" ", "=?", "?=", "_", '"', "❤️", "👩‍👩‍👧"]),
)
WORDS = st.lists(st.lists(CHARACTERS, min_size=1, max_size=30).map("".join), min_size=1, max_size=12).map(" ".join)


@given(WORDS)
@example("Still overdue: Ана Марија Петровић has waited 5 d 10 h for Brot & Bäckerei Müller on Helpdesk")
@example("Still overdue: Anna Peters has waited 5 days 10 hours for the Bakery of Miller and Sons on the help desk")
@example("x" * 300)
@example("a " * 200)
@example("=?utf-8?q?a?=")
@settings(deadline=None, max_examples=300)
def test_a_subject_is_read_as_it_was_composed(words: str) -> None:
    subject = one_line(words, SUBJECT_CHARACTERS)
    raw = compose("a", "b", SENDER, "team@acme.example", Message(subject, "t", "<p>t</p>"), NOW).as_bytes()
    header = raw[: raw.index(b"\r\nDate:")].partition(b"Subject:")[2].decode("ascii")

    assert read(raw) == subject
    assert str(message_from_bytes(raw, policy=default)["Subject"]) == subject
    encoded = re.findall(r"=\?utf-8\?.*?\?=", header)
    assert all(len(word) <= 75 for word in encoded)
    for word in encoded:
        base64.b64decode(word.split("?")[3]).decode()  # whole characters
    lines = raw[: raw.index(b"\r\nDate:")].split(b"\r\n")
    assert all(len(line) <= 78 for line in lines)
    assert not any(line.isspace() for line in lines)


def read(raw: bytes) -> str:
    """The subject as a reader that knows RFC 2047 and nothing of the program that wrote it."""
    header = message_from_bytes(raw, policy=compat32)["Subject"].replace("\r\n", "")
    return str(make_header(decode_header(header)))


@pytest.mark.parametrize(
    ("to", "why"),
    [
        ("jörg@example.com", "without accents"),
        ("a..b@example.com", "twice in a row"),
        (".a@example.com", "cannot come first"),
        ("a.@example.com", "cannot come first"),
        ("a@example..com", "not a domain name"),
        ("a@-example.com", "not a domain name"),
        ("a@[127.0.0.1]", "not a domain name"),
        ("a@127.0.0.1", "not a domain name"),
        ('"a b"@example.com', "cannot have"),
        ("a@b@example.com", "cannot have"),
        (f"{'a' * 65}@example.com", "at most 64"),
        ("te\u200bam@example.com", "cannot be seen"),
        ("team@exam\u202eple.com", "cannot be seen"),
        ("team", "written like"),
    ],
)
def test_an_address_that_cannot_work_says_why(to: str, why: str) -> None:
    with pytest.raises(MailAddressError, match=why) as raised:
        in_ascii(to)
    assert to not in str(raised.value)


@pytest.mark.parametrize(
    ("to", "sent_to"),
    [
        ("team@müller.example", "team@xn--mller-kva.example"),
        ("team@MÜLLER.example", "team@xn--mller-kva.example"),
        ("o'brien+x@example.com", "o'brien+x@example.com"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_a_mail_to_an_international_domain_arrives(receiver: MailReceiver, to: str, sent_to: str) -> None:
    sent(receiver, to)

    assert receiver.recipients == [sent_to]
    assert receiver.mails[0]["To"] == sent_to


def test_a_sender_with_any_name_is_a_sender(receiver: MailReceiver) -> None:
    composed = compose("a", "b", '"Bäckerei, Köln" <alerts@müller.example>', "team@acme.example", MESSAGE, NOW)
    send(MailServer.parse(receiver.address), composed, timeout=5)

    assert str(receiver.mails[0]["From"]) == '"Bäckerei, Köln" <alerts@xn--mller-kva.example>'
    assert receiver.senders == ["alerts@xn--mller-kva.example"]


def test_a_sender_that_is_no_address_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_MAIL_FROM", "Rapport <a..b@example.com>")

    with pytest.raises(ValueError, match="twice in a row"):
        NotifierSettings()
