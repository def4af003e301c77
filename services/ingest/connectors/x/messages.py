"""Private messages on X as interactions. Pure.

XChat's are encrypted: somebody wrote, and what they wrote is not known.
"""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Raw, Struct

from rapport.contracts.events import Interaction, Medium, Object
from services.ingest.connectors.x.event import NULL, Event
from services.ingest.connectors.x.posts import MEDIA, Person, actor, milliseconds, people_of, plain, readable
from services.ingest.hooks.delivery import (
    MOST_CHANGES,
    About,
    Delivery,
    Id,
    UnreadableError,
    decode,
    id_of,
    interaction,
)


class _Attached(Struct):
    type: str = ""


class _Attachment(Struct):
    type: str = ""
    media: _Attached | None = None


class _MessageData(Struct):
    text: str | None = None
    attachment: _Attachment | None = None


class _Target(Struct):
    recipient_id: Id | None = None


class _Written(Struct):
    sender_id: Id | None = None
    target: _Target | None = None
    message_data: _MessageData | None = None


class _DirectMessage(Struct):
    id: Id
    type: str = "message_create"
    created_timestamp: float | None = None
    message_create: _Written | None = None


class _DirectMessages(Struct):
    direct_message_events: list[Raw] | None = None
    users: Raw = NULL


class _Chat(Struct):
    id: Id
    sender_id: Id | None = None
    conversation_id: Id | None = None
    created_at_msec: float | None = None


def direct_messages(event: Event, delivery: Delivery) -> None:
    """Private messages that are not encrypted. Raises UnreadableError for too many."""
    try:
        found = decode(event.payload, _DirectMessages)
    except UnreadableError as error:
        delivery.failed("data.payload", error)
        return
    messages = found.direct_message_events or []
    if len(messages) > MOST_CHANGES:
        raise UnreadableError(f"more than {MOST_CHANGES} messages at once")
    people = people_of((readable(found.users, dict[str, Raw]) or {}).values())
    for place, raw in enumerate(messages):
        try:
            message = _direct_message(decode(raw, _DirectMessage), people, event)
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            delivery.failed(f"data.payload.direct_message_events[{place}]", error)
            continue
        if message is None:
            delivery.ignored[event.type] += 1
        else:
            delivery.interactions.append(message)


def _direct_message(found: _DirectMessage, people: dict[str, Person], event: Event) -> Interaction | None:
    if found.type != "message_create":
        return None
    written = found.message_create or _Written()
    content = written.message_data or _MessageData()
    sender = id_of(written.sender_id, "sender_id")
    recipient = id_of(written.target.recipient_id if written.target else None, "recipient_id")
    shown = content.attachment.media.type if content.attachment and content.attachment.media else ""
    media: tuple[Medium, ...] = (MEDIA[shown],) if shown in MEDIA else ()
    at = milliseconds(found.created_timestamp)
    return _message(str(found.id), sender, recipient, at, event, people, content.text, media)


def chatted(event: Event) -> Iterator[Interaction]:
    """An encrypted message between two. `conversation_id` is both ids; that of a group is something else."""
    chat = decode(event.payload, _Chat)
    sender, both = id_of(chat.sender_id, "sender_id"), str(chat.conversation_id or "").split(":")
    if len(both) != 2 or sender not in both:
        return
    recipient = both[1] if sender == both[0] else both[0]
    at = milliseconds(chat.created_at_msec)
    message = _message(str(chat.id), sender, recipient, at, event, event.included.people)
    if message is not None:
        yield message


def _message(
    id: str,
    sender: str,
    recipient: str,
    at: datetime | None,
    event: Event,
    people: dict[str, Person],
    text: str | None = None,
    media: tuple[Medium, ...] = (),
) -> Interaction | None:
    watched = event.watched
    if watched.id not in (sender, recipient):
        raise UnreadableError(f"it is between {sender} and {recipient}")
    person = recipient if sender == watched.id else sender
    if event.is_of_brand(person):
        return None
    thread = event.conversation(person)
    return interaction(
        watched, event.observed_at, About(Object(id), thread, thread, at), id=id,
        kind="reply" if sender == watched.id else "message", actor=actor(sender, people, watched), text=plain(text),
        media=media,
    )  # fmt: skip
