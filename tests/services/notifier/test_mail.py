"""Mail against a real mail server."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from services.notifier.channels import DeliveryError
from services.notifier.channels.mail import MailServer, compose, send
from services.notifier.settings import NotifierSettings
from services.notifier.wording import Message
from tests.services.notifier.receivers import MailReceiver, free_port

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
