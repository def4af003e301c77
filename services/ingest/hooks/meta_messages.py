"""Private messages as Messenger and Instagram push them, in the same shape. Pure.

- What a person writes is a `message`, what the account answers a `reply`, by whatever program it was written.
- All messages with one person are one thread. A reply in it answers the person, so it needs no `parent`.
- An answer to a story of the brand names the story as its `post`. Where somebody names the brand in a story of their
  own, it comes as a message, and is answered like one.
- Where somebody presses a question that the account offers, or a button, its words are posted into the conversation:
  that is a message.
- Read, delivered, typed: nothing that anybody said. Instagram also tells that a message was edited no time,
  often without saying whose it is: that is no edit, and the message comes by itself.
- Conversations can be asked for, too: each message has the id there that it was pushed with.

Source: https://developers.facebook.com/docs/messenger-platform/reference/webhook-events and
https://developers.facebook.com/docs/instagram-platform/webhooks/examples; for what is asked,
https://developers.facebook.com/docs/messenger-platform/conversations
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Raw, Struct

from rapport.contracts.events import Actor, Interaction, Kind, Medium, Object, OccurredAtSource
from rapport.domain.times import ms
from services.ingest.hooks import meta_pages
from services.ingest.hooks.delivery import About, Delivery, Id, UnreadableError, Watched, decode, id_of, interaction
from services.ingest.hooks.meta import Sent, sent_at
from services.ingest.hooks.meta_pages import Page, written_at

MESSAGES = 20
"""Of a conversation, the newest. Meta says no more of older ones than their ids."""
_FIELDS = "id,created_time,from,to,message,attachments{mime_type}"
STICKER_FIELDS, STORY_FIELDS = "sticker,shares", "shares,story,is_unsupported"
"""What a message has that has neither text nor a file, on Messenger and on Instagram."""
_ATTACHED: dict[str, Medium] = {
    "image": "image", "video": "video", "audio": "audio", "reel": "video", "ig_reel": "video",
}  # fmt: skip


class _Party(Struct, frozen=True):
    id: Id | None = None


class _Attachment(Struct):
    type: str | None = None


class _Story(Struct):
    id: Id | None = None


class _ReplyTo(Struct):
    story: _Story | None = None


class _Message(Struct, kw_only=True):
    mid: Id
    text: str | None = None
    attachments: list[_Attachment] | None = None
    reply_to: _ReplyTo | None = None
    is_echo: bool | None = None
    is_deleted: bool | None = None
    is_self: bool | None = None


class _Edit(Struct, kw_only=True):
    mid: Id
    text: str | None = None
    num_edit: int | None = None


class _Reaction(Struct, kw_only=True):
    mid: Id
    action: str | None = None
    reaction: str | None = None
    emoji: str | None = None


class _Postback(Struct, kw_only=True):
    mid: Id | None = None
    title: str | None = None
    """What was pressed."""


class _Messaging(Struct, kw_only=True):
    sender: _Party | None = None
    recipient: _Party | None = None
    """Missing where nobody writes to anybody: for instance, where somebody not known yet agrees to be written to."""
    timestamp: Sent = None
    message: _Message | None = None
    message_edit: _Edit | None = None
    reaction: _Reaction | None = None
    postback: _Postback | None = None
    sent: Sent = None
    """The time of its entry."""

    @property
    def when(self) -> tuple[datetime | None, OccurredAtSource]:
        """When it happened. Where that cannot be read, when Meta sent it: it counts late rather than not at all."""
        at = sent_at(self.timestamp)
        return (at, "platform") if at is not None else (sent_at(self.sent), "receipt")

    @property
    def stamp(self) -> int:
        """What tells one change of a message from the next, and is the same where Meta sends it again."""
        at, _ = self.when
        return ms(at) if at is not None else 0


class _Correspondent(Struct, frozen=True):
    id: Id | None = None
    username: str | None = None


class _Correspondents(Struct, frozen=True):
    data: list[_Correspondent] = []


class _File(Struct):
    mime_type: str = ""


class _Files(Struct):
    data: list[_File] = []


class _AskedStory(Struct):
    mention: _Story | None = None
    reply_to: _Story | None = None


class _AskedMessage(Struct, kw_only=True, rename={"by": "from"}):
    id: Id
    created_time: Sent = None
    by: _Correspondent = _Correspondent()
    to: _Correspondents = _Correspondents()
    message: str | None = None
    attachments: _Files | None = None
    sticker: str | None = None
    shares: _Files | None = None
    story: _AskedStory | None = None
    is_unsupported: bool | None = None


class _Messages(Struct, frozen=True):
    data: list[Raw] = []


class _Conversation(Struct):
    id: Id
    updated_time: Sent = None
    """In Instagram's documents a number of seconds, in Facebook's ISO 8601."""
    messages: _Messages = _Messages()


def conversation_fields(more: str = "") -> str:
    """What `conversations` reads of each item; `more` is what it can do without."""
    return f"id,updated_time,messages.limit({MESSAGES}){{{_FIELDS}{',' if more else ''}{more}}}"


def conversations(body: bytes, watched: Watched, observed_at: datetime) -> Page:
    """A page of conversations, the latest first, with their newest messages.

    Raises UnreadableError where the whole is no list.
    """

    def one(item: _Conversation, found: Page) -> None:
        found.saw(sent_at(item.updated_time))

        def message(said: _AskedMessage) -> None:
            told = _asked(said, watched, observed_at)
            if told is not None:
                found.interactions.append(told)

        meta_pages.each_of(item.messages.data, f"conversation {item.id}: messages", _AskedMessage, found, message)

    return meta_pages.page(body, _Conversation, one)


def _asked(said: _AskedMessage, watched: Watched, observed_at: datetime) -> Interaction | None:
    files = said.attachments.data if said.attachments else []
    attached = [_Attachment(each.mime_type.partition("/")[0]) for each in files]
    attached += [_Attachment("image")] if said.sticker else []
    attached += [_Attachment("share") for _ in said.shares.data] if said.shares else []
    mention, answered = (said.story.mention, said.story.reply_to) if said.story else (None, None)
    attached += [_Attachment("story_mention")] if mention else []
    if not (said.message or attached or answered or said.is_unsupported):
        return None  # what can no longer be shown, or was taken back
    if len(said.to.data) != 1:
        raise UnreadableError(f"a message to {len(said.to.data)} people")
    sender, recipient = said.by, said.to.data[0]
    mine = [str(each.id) == watched.id or watched.is_named(each.username) for each in (sender, recipient)]
    if mine == [True, True]:
        return None
    if not any(mine):
        # Taking the account's own words for a stranger's would start a clock.
        raise UnreadableError("neither the sender nor the recipient is the account")
    at = written_at(said.created_time)
    found = _Messaging(
        sender=_Party(watched.id if mine[0] else id_of(sender.id, "from.id")),
        recipient=_Party(watched.id if mine[1] else id_of(recipient.id, "to.id")),
        timestamp=at.timestamp(),
    )
    message = _Message(
        mid=said.id, text=said.message or None, attachments=attached, reply_to=_ReplyTo(answered), is_echo=mine[0]
    )
    return _message(message, found, watched, observed_at)


def messaging(raw: Raw, watched: Watched, observed_at: datetime, delivery: Delivery, sent: Sent) -> None:
    """Adds what one item of `messaging[]` says. `timestamp` is in milliseconds, in samples also in seconds."""
    found = decode(raw, _Messaging)
    found.sent = sent
    one: Interaction | None = None
    if found.message is not None and found.message.is_self:
        delivery.ignored["a message of the account to itself"] += 1
        return
    if found.message is not None:
        one = _message(found.message, found, watched, observed_at)
    elif found.message_edit is not None and found.message_edit.num_edit != 0:
        one = _edit(found.message_edit, found, watched, observed_at)
    elif found.reaction is not None:
        one = _reaction(found.reaction, found, watched, observed_at)
    elif found.postback is not None and found.postback.mid and found.sender is not None and found.sender.id:
        pressed = _Message(mid=found.postback.mid, text=found.postback.title)
        one = _message(pressed, found, watched, observed_at)
    if one is None:
        delivery.ignored["messaging without a message"] += 1
    else:
        delivery.interactions.append(one)


def _message(message: _Message, found: _Messaging, watched: Watched, observed_at: datetime) -> Interaction:
    mid = id_of(message.mid, "mid")
    by_brand, person = _parties(found, watched, echo=bool(message.is_echo))
    kind: Kind = "delete" if message.is_deleted else "reply" if by_brand else "message"
    story = message.reply_to.story if message.reply_to else None
    return interaction(
        watched, observed_at, _about(mid, person, found, watched, str(story.id) if story and story.id else None),
        id=f"{mid}#delete" if message.is_deleted else mid,
        kind=kind, actor=_actor(watched, person, by_brand=by_brand), text=message.text,
        media=_attached(message.attachments or ()), staff=not by_brand and _is_ours(watched, person),
    )  # fmt: skip


def _edit(edit: _Edit, found: _Messaging, watched: Watched, observed_at: datetime) -> Interaction:
    mid = id_of(edit.mid, "mid")
    by_brand, person = _parties(found, watched)
    version = edit.num_edit if edit.num_edit is not None else found.stamp
    return interaction(
        watched, observed_at, _about(mid, person, found, watched), id=f"{mid}#edit-{version}", kind="edit",
        actor=_actor(watched, person, by_brand=by_brand), text=edit.text,
    )  # fmt: skip


def _reaction(reaction: _Reaction, found: _Messaging, watched: Watched, observed_at: datetime) -> Interaction | None:
    mid = id_of(reaction.mid, "mid")
    by_brand, person = _parties(found, watched)
    if by_brand or _is_ours(watched, person) or reaction.action not in ("react", "unreact"):
        return None
    undo = reaction.action == "unreact"
    return interaction(
        watched, observed_at, _about(mid, person, found, watched),
        id=f"{mid}#{person}#{reaction.action}-{found.stamp}", kind="reaction", actor=Actor(person),
        reaction=reaction.emoji if reaction.reaction in (None, "other") else reaction.reaction, undo=undo,
    )  # fmt: skip


def _parties(found: _Messaging, watched: Watched, *, echo: bool = False) -> tuple[bool, str]:
    """Whether the account itself wrote it, and the person on the other side."""
    sender = id_of(found.sender.id if found.sender else None, "sender.id")
    recipient = id_of(found.recipient.id if found.recipient else None, "recipient.id")
    by_brand = echo or sender == watched.id
    return by_brand, recipient if by_brand else sender


def _is_ours(watched: Watched, person: str) -> bool:
    """Whether the person on the other side is of the brand, too."""
    return watched.is_brand(person) or watched.is_staff(person)


def _about(mid: str, person: str, found: _Messaging, watched: Watched, story: str | None = None) -> About:
    thread = f"{watched.id}:{person}"
    at, source = found.when
    return About(Object(mid), thread, thread, at, story, source)


def _actor(watched: Watched, person: str, *, by_brand: bool) -> Actor:
    return Actor(watched.id, name=watched.account.handle) if by_brand else Actor(person)


def _attached(found: Sequence[_Attachment]) -> tuple[Medium, ...]:
    return tuple(_ATTACHED.get(each.type or "", "link") for each in found)
