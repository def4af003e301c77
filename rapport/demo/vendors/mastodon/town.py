"""A Mastodon server's accounts, statuses and notifications, what people do there, and how the server tells of it."""

import html
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass
class Account:
    """Somebody; with a domain, somebody of another server."""

    id: str
    username: str
    domain: str | None
    name: str
    bot: bool = False
    fields: list[dict[str, Any]] = field(default_factory=list)

    @property
    def acct(self) -> str:
        """The name here."""
        return f"{self.username}@{self.domain}" if self.domain else self.username


@dataclass
class Status:
    """What somebody wrote, or passed on."""

    id: str
    author: str
    text: str
    at: datetime
    visibility: str
    to: str | None
    to_author: str | None
    mentions: list[str]
    reblog: str | None = None
    quote: str | None = None
    warning: str = ""
    media: list[str] = field(default_factory=list)
    edited_at: datetime | None = None


@dataclass
class Notification:
    """Something that an account is told of."""

    id: str
    whose: str
    type: str
    by: str
    at: datetime
    status: str | None = None


class Town:
    """Its methods may be called from any thread. Whoever serves it says where it is, and sends to its streams."""

    host: str

    def __init__(self) -> None:
        self.silenced: set[str] = set()
        """Accounts whose notifications the policy holds back from who does not ask for them."""
        self.favourites: list[tuple[str, str]] = []
        """Who favoured which status."""
        self._lock = threading.RLock()
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, str] = {}
        self._local: set[str] = set()
        """Accounts that have, or had, a token."""
        self._statuses: dict[str, Status] = {}
        self._answered: Counter[str] = Counter()
        """How many answers each status has."""
        self._passed: dict[str, list[str]] = {}
        """Who passed each status on."""
        self._notifications: list[Notification] = []
        self._follows: set[tuple[str, str]] = set()
        self._made = 0

    def add_account(
        self, username: str, *, token: str | None = None, domain: str | None = None, name: str | None = None,
        bot: bool = False, fields: Iterable[dict[str, Any]] = (), id: str | None = None,
    ) -> str:  # fmt: skip
        """Adds somebody and returns their id. Who has a token can be read for."""
        with self._lock:
            shown = username.title() if name is None else name
            account = Account(id or self._next_id(), username, domain, shown, bot, list(fields))
            self._accounts[account.id] = account
            if token is not None:
                self._tokens[token] = account.id
                self._local.add(account.id)
            return account.id

    def add_token(self, token: str, account: str) -> None:
        """Another token of an account."""
        with self._lock:
            self._tokens[token] = account

    def remember(self, statuses: Iterable[Status], notifications: Iterable[Notification]) -> None:
        """Puts in what happened before. Nobody is told."""
        with self._lock:
            for one in statuses:
                self._keep(one)
            self._notifications += notifications

    def post(
        self, who: str, text: str, *, to: str | None = None, mentions: Iterable[str] = (), visibility: str = "public",
        quote: str | None = None, warning: str = "", media: Iterable[str] = (), at: str | None = None,
    ) -> str:  # fmt: skip
        """Somebody writes a status. `at` is when (ISO 8601), if not now. Returns its id."""
        with self._lock:
            answered = self._statuses[to] if to else None
            status = Status(
                self._next_id(), who, text, self._time(at), visibility, to, answered.author if answered else None,
                list(dict.fromkeys(mentions)), None, quote, warning, list(media),
            )  # fmt: skip
            self._keep(status)
            self._tell_home(status, "update")
            for whom in status.mentions:
                self._notify(whom, "mention", who, status.id)
            if quote:
                self._notify(self._statuses[quote].author, "quote", who, status.id)
            return status.id

    def comment(self, who: str, to: str, text: str, **more: Any) -> str:
        """Somebody answers a status; its author is mentioned, as every app does it. Returns the id."""
        return self.post(who, text, to=to, mentions=[self._statuses[to].author, *more.pop("mentions", ())], **more)

    answer = comment

    def mention(self, who: str, whom: str, text: str, **more: Any) -> str:
        """Somebody mentions somebody else. Returns the id."""
        return self.post(who, text, mentions=[whom, *more.pop("mentions", ())], **more)

    def message(self, who: str, whom: str, text: str, **more: Any) -> str:
        """Somebody writes to somebody in private. Returns the id."""
        return self.mention(who, whom, text, visibility="direct", **more)

    def favourite(self, who: str, status: str) -> None:
        """Somebody favourites a status."""
        with self._lock:
            self.favourites.append((who, status))
            self._notify(self._statuses[status].author, "favourite", who, status)

    def unfavourite(self, who: str, status: str) -> None:
        """Somebody takes a favourite back. The notification is gone, and nobody is told."""
        with self._lock:
            self.favourites = [each for each in self.favourites if each != (who, status)]
            self._forget(lambda one: (one.type, one.by, one.status) == ("favourite", who, status))

    def reblog(self, who: str, status: str) -> str:
        """Somebody passes a status on. Returns the id of what is then among their own."""
        with self._lock:
            passed = Status(self._next_id(), who, "", self._time(None), "public", None, None, [], status)
            self._keep(passed)
            self._tell_home(passed, "update")
            self._notify(self._statuses[status].author, "reblog", who, status)
            return passed.id

    def follow(self, who: str, whom: str) -> None:
        """Somebody follows somebody."""
        with self._lock:
            self._follows.add((who, whom))
            self._notify(whom, "follow", who)

    def unfollow(self, who: str, whom: str) -> None:
        """Somebody follows somebody no longer. The notification is gone, and nobody is told."""
        with self._lock:
            self._follows.discard((who, whom))
            self._forget(lambda one: (one.type, one.by, one.whose) == ("follow", who, whom))

    def edit(self, status: str, text: str, at: str | None = None) -> None:
        """The author changes a status: told at their home, to their followers, and to who passed it on."""
        with self._lock:
            its = self._statuses[status]
            its.text, its.edited_at = text, self._time(at)
            self._tell_home(its, "status.update")
            for other in [each for each in self._statuses.values() if each.reblog == status]:
                self._notify(other.author, "update", its.author, status)

    def delete(self, status: str) -> None:
        """The author deletes a status: told at their home, to their followers, and to whom it mentions."""
        with self._lock:
            its = self._statuses.pop(status)
            if its.to:
                self._answered[its.to] -= 1
            if its.reblog:
                self._passed[its.reblog].remove(its.author)
            for each in self._statuses.values():
                each.to = None if each.to == status else each.to
                each.quote = None if each.quote == status else each.quote
            self._forget(lambda one: one.status == status)
            for whom in {*self._at_home(its), *its.mentions}:
                self._send(whom, "delete", status)
            for passed in [each.id for each in self._statuses.values() if each.reblog == status]:
                self.delete(passed)

    def notify(self, whom: str, type: str, by: str, status: str | None = None) -> None:
        """A notification of any type."""
        with self._lock:
            self._notify(whom, type, by, status)

    def _time(self, at: str | None) -> datetime:
        return datetime.fromisoformat(at) if at else datetime.now(UTC)

    def _next_id(self) -> str:
        self._made += 1
        return str((time.time_ns() // 1_000_000 << 16) + self._made)

    def _next_notification_id(self) -> str:
        self._made += 1
        return str(34_975_000 + self._made)

    def _keep(self, status: Status) -> None:
        self._statuses[status.id] = status
        if status.to:
            self._answered[status.to] += 1
        if status.reblog:
            self._passed.setdefault(status.reblog, []).append(status.author)

    def _send(self, account: str, event: str, payload: str) -> None:
        """Sends to the streams of an account."""
        raise NotImplementedError

    def _notify(self, whom: str, type: str, by: str, status: str | None = None) -> None:
        if whom == by or whom not in self._local:
            return
        one = Notification(self._next_notification_id(), whom, type, by, self._time(None), status)
        self._notifications.append(one)
        if by not in self.silenced:
            self._send(whom, "notification", json.dumps(self._notification(one)))

    def _forget(self, which: Callable[[Notification], bool]) -> None:
        self._notifications = [one for one in self._notifications if not which(one)]

    def _at_home(self, status: Status) -> set[str]:
        """Who sees a status in their timeline."""
        followers = {who for who, whom in self._follows if whom == status.author}
        if status.visibility == "direct":
            followers &= set(status.mentions)
        return {status.author, *followers}

    def _tell_home(self, status: Status, event: str) -> None:
        for whom in self._at_home(status):
            self._send(whom, event, json.dumps(self._status(status)))

    def _account(self, its: Account) -> dict[str, Any]:
        where = its.domain or self.host
        return {
            "id": its.id, "username": its.username, "acct": its.acct, "display_name": its.name, "locked": False,
            "bot": its.bot, "discoverable": True, "group": False, "created_at": "2022-11-05T00:00:00.000Z", "note": "",
            "url": f"https://{where}/@{its.username}", "uri": f"https://{where}/users/{its.username}",
            "avatar": f"https://{where}/avatars/{its.id}.png", "avatar_static": f"https://{where}/avatars/{its.id}.png",
            "header": f"https://{where}/headers/{its.id}.png", "followers_count": 0, "following_count": 0,
            "statuses_count": 0, "last_status_at": None, "emojis": [], "fields": its.fields,
        }  # fmt: skip

    def _status(self, its: Status, depth: int = 0, viewer: str | None = None) -> dict[str, Any]:
        """A status. What the viewer has done to it is told to them alone, and never in a stream."""
        author = self._accounts[its.author]
        liked = [who for who, what in self.favourites if what == its.id]
        passed_on = self._passed.get(its.id, [])
        where = author.domain or self.host
        mentioned = [self._accounts[each] for each in its.mentions]
        quoted = self._statuses.get(its.quote) if its.quote and depth == 0 else None
        passed = self._statuses.get(its.reblog) if its.reblog else None
        return {
            "id": its.id, "created_at": _iso(its.at), "in_reply_to_id": its.to, "in_reply_to_account_id": its.to_author,
            "sensitive": bool(its.warning), "spoiler_text": its.warning, "visibility": its.visibility, "language": "en",
            "uri": f"https://{where}/users/{author.username}/statuses/{its.id}",
            "url": f"https://{where}/@{author.username}/{its.id}",
            "replies_count": self._answered[its.id],
            "reblogs_count": len(passed_on), "favourites_count": len(liked),
            "quotes_count": 0, "edited_at": _iso(its.edited_at) if its.edited_at else None,
            "favourited": viewer in liked, "reblogged": viewer in passed_on,
            "muted": False, "bookmarked": False, "filtered": [],
            "content": self._content(its, mentioned),
            "reblog": self._status(passed, depth, viewer) if passed else None,
            "account": self._account(author),
            "media_attachments": [
                {"id": str(place), "type": what, "url": f"https://{where}/media/{its.id}/{place}", "preview_url": None,
                 "remote_url": None, "meta": {}, "description": None, "blurhash": None}
                for place, what in enumerate(its.media)
            ],
            "mentions": [
                {"id": each.id, "username": each.username, "url": self._account(each)["url"], "acct": each.acct}
                for each in mentioned
            ],
            "tags": [], "emojis": [], "card": None, "poll": None,
            "quote": {"state": "accepted", "quoted_status": self._status(quoted, 1)} if quoted else None,
        }  # fmt: skip

    def _content(self, its: Status, mentioned: list[Account]) -> str:
        if its.reblog or not (its.text or mentioned):
            return ""
        names = "".join(
            f'<span class="h-card" translate="no"><a href="{self._account(each)["url"]}" class="u-url mention">'
            f"@<span>{each.username}</span></a></span> "
            for each in mentioned
        )
        return f"<p>{names}{html.escape(its.text, quote=False)}</p>".replace("\n", "<br />")

    def _notification(self, one: Notification, viewer: str | None = None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "id": one.id, "type": one.type, "created_at": _iso(one.at), "group_key": f"ungrouped-{one.id}",
            "account": self._account(self._accounts[one.by]),
        }  # fmt: skip
        if one.status is not None:
            made["status"] = self._status(self._statuses[one.status], viewer=viewer)
        return made


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
