"""Turns what a Mastodon server says to an account into interactions. Pure.

- A status that answers the brand's is a `comment`; a private one, which only those can see whom it mentions, is a
  `message`; any other that mentions the brand is a `mention`. One that only quotes the brand's is a `share`.
- The brand's own status is a `reply` where it answers somebody else, or continues such an answer, its own or its
  staff's; any other is a `post`. What the brand only passes on (reblogs) says nothing. Nor does what it writes to
  nobody or to several in private, nor its answer to what is gone meanwhile.
- What somebody of the staff writes in answer to a follower, and with the brand's name in it, is a `reply`.
- Ids are one server's, so each is told with its host. A status has the same id however it comes. The
  brand's accounts on other servers are known by their addresses.
- The conversation is the pair of brand and follower, by whichever of its accounts, because Mastodon names the author of
  what is answered. There is no root: links between parents connect a thread. Private messages have one thread with each
  person.
- Servers of Misskey's family tell of a quote as of a reblog or of a status, and of reactions with an emoji under names
  of their own. GoToSocial tells of an answer, a favourite or a reblog before the account has approved it: it was given
  all the same, and comes again under the same id.
- A server tells that a status was edited and not what it said before. If it was not heard of, it is told as written,
  and then as edited.
- Of a deletion the server says only the id. What is noted of a status tells what it was.
- Nobody is told that a favourite, a reblog or a follow was taken back. So each counts once per person.
- A status from a server that was down may be days old when it arrives, and a server's clock may be ahead. What a
  follower says counts from when the brand could know.

Source: https://docs.joinmastodon.org/methods/notifications/, https://docs.joinmastodon.org/methods/streaming/ and, for
Pleroma, https://docs.pleroma.social/backend/development/API/differences_in_mastoapi_responses/, for GoToSocial
https://docs.gotosocial.org/en/latest/api/swagger/, for Iceshrimp and Sharkey the converters of their servers
(https://iceshrimp.dev/iceshrimp/Iceshrimp.NET, https://activitypub.software/TransFem-org/Sharkey)
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Raw, Struct, structs

from rapport.contracts.events import SPOKEN, Actor, Interaction, Kind, Object, Parent, UtcTime
from rapport.domain.exchanges.addressing import is_prompt
from rapport.domain.times import in_range
from rapport.kit.text import web_address
from services.ingest.connectors.mastodon.entities import (
    LONGEST_ID,
    Account,
    Notification,
    Status,
    actor_of,
    address,
    bare_id,
    readable,
    short,
)
from services.ingest.hooks.delivery import (
    MOST_CHANGES,
    About,
    Delivery,
    Id,
    UnreadableError,
    Watched,
    decode,
    interaction,
)

MOST_VALUES = 300_000
"""In a page. One of 80 notifications has some 10,000."""
MOST_WRAPPED = 3
"""How many times the JSON of a frame may stand in a string. Once is what Mastodon does."""


class Noted(NamedTuple):
    """What has to be remembered of a status so that its deletion can be told."""

    status: str
    """The server's own id of the status, without the host."""
    kind: Kind
    """What it became: comment, mention, message, reply or post."""
    actor: str
    """Who wrote it, as in the interaction."""
    conversation: str
    thread: str | None
    post: str | None


Find: TypeAlias = Callable[[str], Noted | None]
"""What was noted of the status with the server's own id; None where nothing was."""


@dataclass
class Page(Delivery):
    """What a page or an event has, oldest first."""

    noted: list[Noted] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    """The server's own ids of statuses that were deleted, also of those that nothing is known of."""
    ids: tuple[str, ...] = ()
    """The ids of its items, newest first, as pages are."""
    oldest_at: datetime | None = None
    """When the server had the last item; None where it does not say."""


_How: TypeAlias = Literal["status", "mention", "quote", "edit"]


class _Identified(Struct):
    id: Id


class _Dated(Struct):
    created_at: UtcTime


class _Placed(_Identified):
    """What a page is in the order of."""

    created_at: UtcTime

    @property
    def order(self) -> tuple[int, str]:
        """Sorts as ids do, whether they are numbers, ULIDs or other words."""
        return len(str(self.id)), str(self.id)


class _Frame(Struct):
    event: str | None = None
    payload: Raw = Raw(b"null")
    error: str | None = None


class _Told(NamedTuple):
    """An interaction, and what has to be remembered of its status."""

    interaction: Interaction
    noted: Noted | None = None


class _Read(NamedTuple):
    """What an item is called, and what it tells."""

    what: str
    told: list[_Told]


class _Place(NamedTuple):
    """What a status is to the brand, and where it belongs."""

    kind: Kind
    conversation: str
    thread: str | None = None
    post: str | None = None
    parent: Parent | None = None


def notifications(body: bytes, host: str, watched: Watched, find: Find, observed_at: datetime) -> Page:
    """A page of `GET /api/v1/notifications`. Raises UnreadableError where it is none."""
    reader = _Reader(host, watched, find, observed_at)
    return reader.page_of(body, reader.notification)


def statuses(body: bytes, host: str, watched: Watched, find: Find, observed_at: datetime) -> Page:
    """A page of `GET /api/v1/accounts/:id/statuses`. Raises UnreadableError where it is none."""
    reader = _Reader(host, watched, find, observed_at)
    return reader.page_of(body, reader.status)


def event(frame: bytes | str, host: str, watched: Watched, find: Find, observed_at: datetime) -> Page:
    """A frame of the stream `user`. Raises UnreadableError where it is none, or where the server reports an error."""
    raw = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
    reader = _Reader(host, watched, find, observed_at)
    return reader.event(decode(_unwrapped(Raw(raw)), _Frame))


class _Reader:
    """Reads items of one page, or one event, for an account."""

    def __init__(self, host: str, watched: Watched, find: Find, observed_at: datetime) -> None:
        self._host = host
        self._watched = watched
        self._find = find
        self._observed_at = observed_at
        self._page = Page()
        self._noted: dict[str, Noted] = {}
        self._own: set[str] = set()
        """Ids here of the brand's accounts on other servers."""

    def page_of(self, body: bytes, read: Callable[[Raw], _Read]) -> Page:
        """A page, read from its end: an answer may continue one that is older."""
        if body.count(b",") > MOST_VALUES:
            raise UnreadableError(f"more than {MOST_VALUES} values")  # each takes a hundred bytes of memory
        items = decode(body, list[Raw])
        if len(items) > MOST_CHANGES:
            raise UnreadableError(f"more than {MOST_CHANGES} items at once")
        if _ascends(items):
            items.reverse()
        self._page.ids = tuple(filter(None, map(_id_of, items)))
        last = readable(items[-1], _Dated) if items else None
        self._page.oldest_at = last.created_at if last is not None else None
        for place in reversed(range(len(items))):
            self._take(f"[{place}]", items[place], read)
        return self._page

    def event(self, frame: _Frame) -> Page:
        """An event. Its payload is JSON in a string."""
        if frame.event is None:
            raise UnreadableError(f"no event: {frame.error or 'event is missing'}"[:300])
        read = self._events.get(frame.event)
        if read is None:
            self._page.ignored[frame.event[:64]] += 1
        else:
            self._take("payload", frame.payload, read)
        return self._page

    @property
    def _events(self) -> dict[str, Callable[[Raw], _Read]]:
        return {
            "notification": lambda payload: self.notification(_unwrapped(payload)),
            "update": lambda payload: self.status(_unwrapped(payload), self._observed_at),
            "status.update": lambda payload: self._edit(_unwrapped(payload)),
            "delete": self._deleted,
        }

    def _take(self, where: str, raw: Raw, read: Callable[[Raw], _Read]) -> None:
        try:
            what, told = read(raw)
        except Exception as error:  # what nobody foresaw must not hold up what comes with it
            self._page.failed(where, error)
            return
        if not told:
            self._page.ignored[what[:64]] += 1
        for its, noted in told:
            self._page.interactions.append(its)
            if noted is not None:
                self._page.noted.append(noted)
                self._noted[noted.status] = noted

    def notification(self, raw: Raw) -> _Read:
        """A notification."""
        found = decode(raw, Notification)
        told: list[_Told] = []
        match found.type:
            case "mention" | "pending.reply":
                told = self._written(decode(found.status, Status), "mention", found.created_at)
            case "quote":
                told = self._written(decode(found.status, Status), "quote", found.created_at)
            case "status":
                told = self.status(found.status, found.created_at).told
            case "update":
                told = self._written(decode(found.status, Status), "edit", found.created_at)
            case "favourite" | "pending.favourite":
                told = list(self._reacted(found, "reaction", "favourite", "favourite"))
            case "pleroma:emoji_reaction" | "emoji_reaction" | "reaction":
                emoji = found.reacted
                named = f"reaction-{bare_id(emoji, 'emoji')}" if emoji else "reaction"
                told = list(self._reacted(found, "reaction", named, emoji))
            case "reblog" | "pending.reblog":
                told = self._reblogged(found)
            case "follow":
                told = list(self._followed(found))
        return _Read(found.type, told)

    def status(self, raw: Raw, seen_at: datetime | None = None) -> _Read:
        """A status, of the account itself or of somebody whom it follows."""
        found = decode(raw, Status)
        if bytes(found.reblog) != b"null":
            return _Read("reblog", [])
        return _Read("status", self._written(found, "status", seen_at))

    def _edit(self, raw: Raw) -> _Read:
        return _Read("status.update", self._written(decode(raw, Status), "edit", self._observed_at))

    def _written(self, status: Status, how: _How, seen_at: datetime | None = None) -> list[_Told]:
        """A status. `how` says as what it comes, `seen_at` when the server told of it."""
        bare, author = bare_id(status.id, "status.id"), self._actor(status.account)
        known = self._known(bare) if how == "edit" else None
        if known is not None:
            place: _Place | None = _Place(known.kind, known.conversation, known.thread, known.post)
        else:
            place = self._place(status, author.id, how)
        if place is None:
            return []
        told = []
        if known is None:
            noted = Noted(bare, place.kind, author.id, place.conversation, place.thread, place.post)
            made = self._new(status, author, place, seen_at)
            told.append(_Told(made, noted if place.kind != "share" else None))
        if status.edited is not None:
            told.append(_Told(self._edited(status, author, place, status.edited)))
        return told

    def _place(self, status: Status, author: str, how: _How) -> _Place | None:
        watched = self._watched
        people = [(bare, each.acct) for each in status.mentions or () if (bare := short(each.id)) is not None]
        mentioned = {self._full(bare) for bare, _ in people}
        for bare, acct in people:
            if acct and watched.is_brand(address(acct, self._host)):
                self._own.add(self._full(bare))
        named = how == "mention" or watched.id in mentioned
        if author == watched.id:
            return self._by_brand(status, mentioned)
        if self._is_brand(author):
            return None  # another account of the brand is not a follower
        if watched.is_staff(author):
            return self._by_staff(status) if named else None
        return self._by_follower(status, author, named, how)

    def _by_follower(self, status: Status, follower: str, named: bool, how: _How) -> _Place | None:
        watched, pair = self._watched, self._conversation(follower)
        answered, whom, known = self._answered(status)
        parent = Parent(self._full(answered), whom) if answered else None
        post = _post_of(known, self._full(answered)) if answered else None
        to_brand = whom is not None and watched.is_brand(whom)
        if status.private and (named or to_brand):
            return _Place("message", pair, pair, None, parent)
        if to_brand:
            return _Place("comment", pair, None, post, parent)
        if named:
            return _Place("mention", pair, None, post, parent)
        quoted, whose = status.quoted
        if how == "quote" or (whose is not None and self._full(whose) == watched.id):
            return _Place("share", pair, None, self._full(quoted) if quoted else None)
        return None

    def _by_brand(self, status: Status, mentioned: set[str]) -> _Place | None:
        watched = self._watched
        answered, whom, known = self._answered(status)
        others = [each for each in mentioned if not self._is_brand(each)]
        if answered is not None and whom is None and len(others) == 1:
            whom = others[0]  # the server does not say whom it answers, but it names one person
        if whom is not None and not (self._is_brand(whom) or watched.is_staff(whom)):
            return self._answer(status, whom)
        if answered is not None and whom is None:
            raise UnreadableError("in_reply_to_account_id is missing")
        if answered is not None and known is not None and known.kind == "reply":
            # The second part of an answer is to whom the first part was.
            follower = known.conversation.removeprefix(self._conversation(""))
            parent = Parent(self._full(answered), follower)
            return _Place("reply", known.conversation, known.thread, known.post, parent)
        if status.private:
            pair = self._conversation(others[0]) if len(others) == 1 else None
            return _Place("reply", pair, pair) if pair is not None else None
        post = _post_of(known, self._full(answered)) if answered else None
        return _Place("post", self._conversation(watched.id), None, post)

    def _by_staff(self, status: Status) -> _Place | None:
        _, whom, _ = self._answered(status)
        if whom is None or self._is_brand(whom) or self._watched.is_staff(whom):
            return None
        return self._answer(status, whom)

    def _answer(self, status: Status, whom: str) -> _Place | None:
        """An answer to somebody. A private one to what they said in public belongs to that."""
        answered, _, known = self._answered(status)
        if answered is None:
            return None  # what it answers is gone
        pair = self._conversation(whom)
        thread = (known.thread if known is not None else pair) if status.private else None
        return _Place("reply", pair, thread, known.post if known else None, Parent(self._full(answered), whom))

    def _answered(self, status: Status) -> tuple[str | None, str | None, Noted | None]:
        """The status that one answers, its author, and what was noted of it, each as far as it is known."""
        answered = bare_id(status.in_reply_to_id, "in_reply_to_id") if status.in_reply_to_id else None
        known = self._known(answered) if answered else None
        if status.in_reply_to_account_id:
            return answered, self._full(bare_id(status.in_reply_to_account_id, "in_reply_to_account_id")), known
        return answered, known.actor if known else None, known

    def _new(self, status: Status, author: Actor, place: _Place, seen_at: datetime | None) -> Interaction:
        """A status as it was written."""
        thing, claimed = self._full(bare_id(status.id, "status.id")), _usable(status.created_at)
        heard = seen_at if place.kind in SPOKEN else None
        odd = heard is not None and claimed is not None and not is_prompt(claimed, heard)
        name = f"{thing}#share" if place.kind == "share" else thing
        made = self._made(status, author, place, place.kind, name, heard if odd else claimed)
        return structs.replace(made, claimed_at=claimed) if odd else made

    def _edited(self, status: Status, author: Actor, place: _Place, at: datetime) -> Interaction:
        name = f"{self._full(bare_id(status.id, 'status.id'))}#edit-{at.astimezone(UTC).isoformat()}"
        return self._made(status, author, place._replace(parent=None), "edit", name, at)

    def _made(
        self, status: Status, author: Actor, place: _Place, kind: Kind, name: str, at: datetime | None
    ) -> Interaction:
        text, media = status.shown
        thing = Object(self._full(bare_id(status.id, "status.id")), web_address(status.url))
        return interaction(
            self._watched, self._observed_at, About(thing, place.conversation, place.thread, at, place.post), id=name,
            kind=kind, actor=author, parent=place.parent, text=text, media=media, language=status.language or None,
        )  # fmt: skip

    def _reblogged(self, found: Notification) -> list[_Told]:
        """A reblog; or, where the status is by who did it, their quote of the brand's."""
        status = decode(found.status, Status)
        author, actor = status.account or Account(), found.account or Account()
        if author.id is not None and author.id == actor.id and status.quotes and bytes(status.reblog) == b"null":
            return self._written(status, "quote", found.created_at)
        return list(self._reacted(found, "share", "reblog"))

    def _reacted(self, found: Notification, kind: Kind, how: str, word: str | None = None) -> Iterator[_Told]:
        """A favourite or a reblog of the brand's status."""
        actor = self._follower(found)
        if actor is None:
            return
        status = decode(found.status, Status)
        # GoToSocial may send what the reblog is, and not what it passes on.
        status = readable(status.reblog, Status) or status
        thing = self._full(bare_id(status.id, "status.id"))
        about = About(
            Object(thing, web_address(status.url)), self._conversation(actor.id), None, found.created_at, thing
        )
        yield _Told(
            interaction(
                self._watched, self._observed_at, about, id=f"{thing}#{how}-{actor.id}", kind=kind, actor=actor,
                reaction=word,
            )
        )  # fmt: skip

    def _followed(self, found: Notification) -> Iterator[_Told]:
        watched, actor = self._watched, self._follower(found)
        if actor is None:
            return
        about = About(Object(watched.id), self._conversation(actor.id), None, found.created_at)
        name = f"{watched.id}#follow-{actor.id}"
        yield _Told(interaction(watched, self._observed_at, about, id=name, kind="follow", actor=actor))

    def _follower(self, found: Notification) -> Actor | None:
        """Who did it, unless that is the brand or somebody who works for it."""
        actor = self._actor(found.account)
        return None if self._is_brand(actor.id) or self._watched.is_staff(actor.id) else actor

    def _deleted(self, raw: Raw) -> _Read:
        bare = bare_id((readable(raw, str) or str(decode(raw, int))).strip('"'), "payload")
        self._page.gone.append(bare)
        known = self._known(bare)
        if known is None:
            return _Read("delete", [])
        about = About(Object(self._full(bare)), known.conversation, known.thread, None, known.post)
        name = f"{self._full(bare)}#delete"
        who = Actor(known.actor)
        made = interaction(self._watched, self._observed_at, about, id=name, kind="delete", actor=who)
        return _Read("delete", [_Told(made)])

    def _actor(self, account: Account | None) -> Actor:
        """Somebody. Who is the brand by an account on another server is known by its address."""
        actor = actor_of(account, self._host)
        if actor.handle is not None and self._watched.is_brand(address(actor.handle, self._host)):
            self._own.add(actor.id)
        return actor

    def _is_brand(self, id: str) -> bool:
        return self._watched.is_brand(id) or id in self._own

    def _known(self, id: str) -> Noted | None:
        return self._noted.get(id) or self._find(id)

    def _full(self, id: str) -> str:
        return f"{id}@{self._host}"

    def _conversation(self, follower: str) -> str:
        """The pair of the brand and a follower: one of its accounts may answer what was said to another."""
        return f"{self._watched.brand}:{follower}"


def _post_of(answered: Noted | None, id: str) -> str | None:
    """The brand's post that an answer belongs to."""
    if answered is None:
        return None
    return answered.post or (id if answered.kind == "post" else None)


def _usable(at: datetime | None) -> datetime | None:
    """A time in UTC. Raises UnreadableError for one that nobody can mean."""
    if at is not None and not in_range(at):
        raise UnreadableError(f"{at.isoformat()} is no time between 1971 and 9998")
    return at.astimezone(UTC) if at is not None else None


def _id_of(raw: Raw) -> str | None:
    found = readable(raw, _Identified)
    return str(found.id) if found is not None and 0 < len(str(found.id)) <= LONGEST_ID else None


def _ascends(items: Sequence[Raw]) -> bool:
    """Whether a page begins with its oldest item, as servers of Misskey's family answer `min_id`."""
    first = next(filter(None, (readable(each, _Placed) for each in items)), None)
    last = next(filter(None, (readable(each, _Placed) for each in reversed(items))), None)
    return bool(first and last and first.created_at < last.created_at and first.order < last.order)


def _unwrapped(payload: Raw) -> Raw:
    """The JSON in a string, also where that stands in a string again. What is an object already stays one."""
    for _ in range(MOST_WRAPPED):
        text = readable(payload, str)
        if text is None:
            break
        payload = Raw(text.encode("utf-8", "surrogatepass"))
    return payload
