"""Hostile text in every field of every notice through every channel.

Fields, notices and channels come from their types, so a new one fails here until it is covered.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
import pytest

from rapport.contracts.events import Alert, Channel, MailChannel, MissingPost, Notice, Step, WebhookChannel
from services.notifier import wording
from services.notifier.channels import mail, webhook
from tests.services.notifier.conftest import a_missing_post, an_alert

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
HOSTILE = (
    "\r\nBcc: all@acme.example\r\n\r\n\u202e\u2066\u200f\x00\x07\x0b\x1b[2J\x85\u2028\u200b\ufeff<b>&lt;</b>"
    "=?utf-8?q?=0D=0AX-Own:_1=E2=80=AE?= &#x202e; %E2%80%AE"
)
FORBIDDEN = set("\u202e\u2066\u200f\x00\x07\x0b\x1b\x85\u2028\u200b\ufeff")
OURS = ["From", "To", "Subject", "Date", "Message-ID", "References", "Auto-Submitted", "MIME-Version", "Content-Type"]

SAMPLES: dict[type, list[Notice]] = {
    Alert: [an_alert("acme", step, answered_at=NOW) for step in get_args(Step)],
    MissingPost: [a_missing_post("acme")],
}


def is_text(kind: Any) -> bool:
    if get_origin(kind) is Annotated:
        return is_text(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return any(is_text(each) for each in get_args(kind))
    return kind is str


def spoiled(sample: Any) -> Any:
    """A struct with hostile text in every field that takes text."""
    changes: dict[str, Any] = {}
    for field in msgspec.structs.fields(sample):
        value = getattr(sample, field.name)
        if isinstance(value, msgspec.Struct):
            changes[field.name] = spoiled(value)
        elif is_text(field.type):
            changes[field.name] = f"x{HOSTILE}y"
    return msgspec.structs.replace(sample, **changes)


def notices() -> list[Notice]:
    return [spoiled(sample) for kind in get_args(Notice) for sample in SAMPLES[kind]]


def by_mail(notice: Notice) -> str:
    """All that a mail program would show of it; checks its head."""
    message = wording.message_for(notice, HOSTILE, wording.link_to("https://portal.example", notice), NOW)
    raw = mail.compose("id", "about", "Rapport <r@agency.example>", "team@acme.example", message, NOW).as_bytes()
    head, _, body = raw.partition(b"\r\n\r\n")
    assert [line.split(b":")[0].decode() for line in head.split(b"\r\n") if line[:1] not in b" \t"] == OURS
    assert body.startswith(b"--")
    read = message_from_bytes(raw, policy=default)
    assert str(read["Subject"]) == message.subject
    parts = [part.get_content() for part in read.walk() if not part.is_multipart()]
    assert "<b>" not in parts[1]
    assert not re.search(r"&#(x202e|8238);", parts[1]), "an entity that a mail program would decode"
    return "\n".join([message.subject, *parts])


def by_webhook(notice: Notice) -> str:
    """All strings of the body."""
    strings: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            walk(list(value.items()))
        elif isinstance(value, list | tuple):
            for each in value:
                walk(each)
        elif isinstance(value, str):
            strings.append(value)

    walk(json.loads(webhook.body_of(notice, wording.link_to("https://portal.example", notice))))
    return "\n".join(strings)


WAYS: dict[type, Callable[[Notice], str]] = {MailChannel: by_mail, WebhookChannel: by_webhook}


def test_every_notice_and_every_channel_is_covered() -> None:
    assert set(SAMPLES) == set(get_args(Notice))
    assert set(WAYS) == set(get_args(Channel))


@pytest.mark.parametrize("way", list(WAYS), ids=lambda way: way.__name__)
@pytest.mark.parametrize("notice", notices(), ids=lambda notice: getattr(notice, "step", "missing"))
def test_nothing_that_steers_or_reorders_reaches_anybody(way: type, notice: Notice) -> None:
    shown = WAYS[way](notice)

    assert "Bcc: all@acme.example" in shown, "the text was really there"
    found = FORBIDDEN & set(shown)
    assert not found, [hex(ord(character)) for character in found]
