"""What Meta's three interfaces have in common when something is written: how they refuse, and how a list is read.

Source: https://developers.facebook.com/docs/graph-api/guides/error-handling/ and …/overview/rate-limiting/; for
private messages https://developers.facebook.com/docs/messenger-platform/reference/send-api, …/conversations and
…/error-codes, and https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/messaging-api
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

import httpx
import msgspec
from msgspec import Struct

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.kit.http.outgoing import GuardedHttp
from services.ingest.connectors.connector import Shared
from services.ingest.errands.listed import Own, Page, look, when
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker, UntoldError
from services.ingest.errands.words import GONE, read, refusal, same_text
from services.ingest.hooks.delivery import Id, UnreadableError, decode, iso_time_of
from services.ingest.hooks.meta_messages import MESSAGES
from services.ingest.polling.api import Api, AttentionError, AwayError, Budget, LimitedError, RefusedError, Turns
from services.ingest.polling.graph import BLOCKED, FAILURES, LIMITS, PERMISSIONS, TOKEN, UNSEEN, Refusal

ANSWERED_SECONDS = 20.0
BUDGET, BUDGET_SECONDS = 100, 3_600.0
"""Requests of one account. Meta allows 200 an hour for each user of the app, at least."""
MESSAGES_BUDGET = 1_000
"""The same for private messages, which Meta counts apart and far more generously."""
LIMITED_SECONDS, BLOCKED_SECONDS = 300.0, 1_800.0
AT_ONCE = "50"
TOO_LATE = frozenset({2_018_065, 2_018_278, 2_534_022})
"""Subcodes for a private message that comes more than 24 hours after what the person wrote. Their code is that of a
missing permission.
"""
NOT_NOW = 1200
"""The code for a private message that could not be sent just now. It does not say whether it was."""
UNREADY = (24, 4_279_009)
"""Code and subcode: what was just made, and is to be published, is not there yet. Nothing was published."""
UNREACHABLE, NOT_RECEIVING = 551, frozenset({1_545_041, 2_018_108, 2_534_014})
"""The code, and subcodes of others, for a person who blocks the account, or is not there any more."""


class UnreadyError(AwayError):
    """What was made a moment ago cannot be published yet."""


class _Made(Struct):
    id: Id


class _Author(Struct, frozen=True):
    id: Id = ""


class _Said(Struct, rename={"by": "from"}):
    """A comment, under whatever names the three give its parts."""

    id: Id
    by: _Author | None = None
    message: str | None = None
    text: str | None = None
    is_reply_owned_by_me: bool | None = None
    permalink: str | None = None
    permalink_url: str | None = None
    timestamp: str | None = None
    created_time: str | None = None
    user: _Author | None = None
    """On Instagram, only of what the account itself wrote."""
    replied_to: _Author | None = None

    @property
    def own(self) -> Own:
        at = when(lambda: iso_time_of(self.created_time or self.timestamp))
        return Own(Done(str(self.id), self.permalink or self.permalink_url), self.message or self.text or "", at)


class _Cursors(Struct, frozen=True):
    after: str = ""


class _Paging(Struct, frozen=True):
    cursors: _Cursors = _Cursors()
    next: str = ""


class _Page(Struct, frozen=True):
    data: Sequence[_Said] = ()
    paging: _Paging = _Paging()


class _Child(Struct):
    parent_id: Id = ""
    parent: _Author = _Author()


class _Sent(Struct):
    message_id: Id


class _Talk(Struct):
    messages: _Page = _Page()


class _Talks(Struct):
    data: Sequence[_Talk] = ()


class Graph:
    """One of Meta's interfaces, for one account."""

    def __init__(self, platform: str, base: str, token: str, http: GuardedHttp, turns: Turns, shared: Shared) -> None:
        """`base` is its address with its version."""
        # In a header: addresses are logged.
        headers = {"Authorization": f"Bearer {token}"}
        self._api, self._messages = (
            Api(http, platform, base, headers, Budget(most, BUDGET_SECONDS), turns, shared.now, refused=_refused)
            for most in (BUDGET, MESSAGES_BUDGET)
        )

    async def post(self, path: str, fields: Mapping[str, str]) -> None:
        """Sends a form. Raises as a Speaker does."""
        await self._api.post(path, urlencode(fields).encode())

    async def made(self, path: str, fields: Mapping[str, str]) -> str:
        """Sends a form that makes something, and gives its id. Raises as `post`."""
        return str(read(await self._api.post(path, urlencode(fields).encode()), _Made).id)

    async def below(
        self, errand: Errand, edge: str, fields: str, whose: str, *, parent: str, **more: str
    ) -> Done | None:
        """The answer among those of the account, whose id is `whose`, at an edge of what it answers.

        An answer to an answer may stand below the comment that both belong to; `parent` is the field that names it.
        Raises as a Speaker does.
        """

        def is_ours(one: _Said) -> bool:
            return one.user is not None or (one.by is not None and str(one.by.id) == whose)

        found = await self.mine(errand, f"{part(errand)}/{edge}", fields, is_ours, **more)
        if found is None and errand.thing_kind == "comment":  # a post is below nothing
            child = read(await self._api.get(part(errand), {"fields": parent}), _Child)
            if above := str(child.parent_id or child.parent.id):
                if not _is_id(above):
                    raise UntoldError
                found = await self.mine(errand, f"/{above}/{edge}", fields, is_ours, **more)
        return found

    async def mine(
        self, errand: Errand, path: str, fields: str, is_ours: Callable[[_Said], bool], **more: str
    ) -> Done | None:
        """The answer, if it is in a list and ours. Raises as a Speaker does."""

        async def page(after: str | None) -> Page:
            query = {"fields": fields, "limit": AT_ONCE, **more, **({"after": after} if after else {})}
            found = read(await self._api.get(path, query), _Page)
            following = found.paging.cursors.after if found.paging.next else ""
            return Page([one.own for one in found.data if is_ours(one)], following or None)

        return await look(errand, page)

    async def write(self, errand: Errand, **more: str) -> Done:
        """Answers a private message. Raises as `post`."""
        fields = {"recipient": _json({"id": errand.follower}), "message": _json({"text": errand.text or ""}), **more}
        answer = await self._messages.post("/me/messages", urlencode(fields).encode())
        return Done(str(read(answer, _Sent).message_id))

    async def written(self, errand: Errand, platform: str) -> Done | None:
        """The answer to a private message, if it is there: what was written after that message, and not by the person.

        `platform` is what Meta calls it there. Raises UntoldError where it cannot be told: Meta shows the last 20
        messages, so the one that is answered may not be among them.
        """
        messages = f"messages.limit({MESSAGES}){{id,from,message}}"
        query = {"platform": platform, "user_id": errand.follower, "fields": messages}
        try:
            answer = await self._messages.get("/me/conversations", query)
        except RefusedError:  # of the question: that says nothing of the answer
            raise UntoldError from None
        for talk in read(answer, _Talks).data:
            after = list(itertools.takewhile(lambda one: str(one.id) != errand.thing, talk.messages.data))
            if len(after) == len(talk.messages.data):
                continue
            same = [one for one in after if same_text(one.message or "", errand.text or "") and not _is_by(one, errand)]
            if any(one.by is None or not one.by.id for one in same):
                raise UntoldError
            return Done(str(same[0].id)) if same else None
        raise UntoldError


def _is_by(one: _Said, errand: Errand) -> bool:
    return one.by is not None and str(one.by.id) == errand.follower


def part(errand: Errand) -> str:
    """The comment's id as a part of a path. Raises RefusedError for what none of Meta's ids looks like."""
    if not _is_id(errand.thing):
        raise RefusedError(GONE)
    return f"/{errand.thing}"


def _is_id(id: str) -> bool:
    return id.replace("_", "").isalnum() and id.isascii()


def speakers(make: Callable[[Account, GuardedHttp, Turns], Speaker], shared: Shared) -> MakeSpeaker:
    """What speaks for those accounts of a platform that have a token."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()
    return lambda account: make(account, http, turns) if account.connection.get("token") else None


def _json(value: Mapping[str, str]) -> str:
    return msgspec.json.encode(value).decode()


def _refused(status: int, body: bytes) -> Exception | None:
    try:
        error = decode(body, Refusal).error
    except UnreadableError:
        return None
    said = refusal(body, Refusal, lambda found: found.error.error_user_msg or found.error.message)
    if error.code == NOT_NOW:
        return AwayError(said, incident=True)
    if error.code in LIMITS or status == httpx.codes.TOO_MANY_REQUESTS:
        return LimitedError(LIMITED_SECONDS)
    if error.code == BLOCKED:
        return LimitedError(BLOCKED_SECONDS)
    if (error.code, error.error_subcode) == UNREADY:
        return UnreadyError(said, incident=True)
    if error.error_subcode in TOO_LATE:
        return RefusedError("Meta lets a private message be answered within 24 hours only; answer it on the platform")
    if error.code == UNREACHABLE or error.error_subcode in NOT_RECEIVING:
        return RefusedError("this person receives no messages from this account at the moment")
    if error.code in TOKEN:
        return AttentionError("the platform does not accept its token any more")
    if error.code in PERMISSIONS:
        return AttentionError(f"its token lacks a permission: {said}")
    if error.code in FAILURES or error.is_transient:
        return AwayError(said, incident=True)
    if (error.code, error.error_subcode) == UNSEEN:
        return RefusedError(GONE)
    return RefusedError(said)
