"""Answers, hidings and likes for a Bluesky account, with an app password, on the account's own server.

What an errand makes has a key that follows from the errand, so that writing it again changes nothing. What is hidden
stands in the gate of the thread, which people change in Bluesky's apps too: it is written only if it is still the one
that was read, and else read again.

Who wrote the comment chooses the server that has it. What that server says is used only where it cannot lead the
account to answer, or to like, anything but the comment.

Source: https://docs.bsky.app/docs/api/com-atproto-repo-put-record and https://atproto.com/specs/tid
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.domain.errands import HIDINGS
from rapport.domain.times import ms
from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.frames import AT_URI, LIKE, POST, THREADGATE
from services.ingest.connectors.bluesky.gates import GateError, changed
from services.ingest.connectors.bluesky.session import JSON, ExpiredError, Failure, MakeApi, Session
from services.ingest.connectors.bluesky.session import refused as of_session
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.connector import Shared
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.errands.words import GONE, read, refusal
from services.ingest.hooks.delivery import UnreadableError, decode
from services.ingest.polling.api import Api, AttentionError, AwayError, Budget, LimitedError, RefusedError, Turns

ANSWERED_SECONDS = 20.0
BUDGET, BUDGET_SECONDS = 100, 300.0
TRIES = 5
"""At a gate that others change at the same time."""
_TID = "234567abcdefghijklmnopqrstuvwxyz"
_LINK = re.compile(r"https?://[^\s<>\"']{1,1000}[^\s<>\"'.,;:!?)]")
_CID = re.compile(r"[A-Za-z0-9]{8,128}")
ELSEWHERE = "it is said to stand in another thread than when it came in, so it is not answered from here"
OTHERS = "it stands below a post of somebody else, and only what stands below the account's own can be hidden"


def speakers(settings: BlueskySettings, shared: Shared) -> MakeSpeaker:
    """What speaks for those accounts that have an app password."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()

    def make(account: Account) -> Speaker | None:
        its = account.connection
        if not its.get("password") or not its.get("did"):
            return None

        def api(base: str, headers: Mapping[str, str]) -> Api:
            budget = Budget(BUDGET, BUDGET_SECONDS)
            return Api(http, PLATFORM, base, headers, budget, turns, shared.now, refused=_refused)

        session = Session(its["did"], its["password"], its.get("service"), settings.plc_directory, api)
        return BlueskySpeaker(its["did"], session, api)

    return make


class _Reference(Struct):
    uri: str
    cid: str


class _Reply(Struct):
    root: _Reference


class _Value(Struct, frozen=True):
    reply: _Reply | None = None


class _Record(Struct):
    uri: str
    cid: str
    value: _Value = _Value()


class _Written(Struct):
    uri: str


class _Gate(Struct):
    cid: str
    value: dict[str, Any]


class _AbsentError(RefusedError):
    """There is no such record."""


class _SwappedError(AwayError):
    """The record is not the one any more that was to be replaced."""


class BlueskySpeaker:
    """A Speaker."""

    def __init__(self, did: str, session: Session, api: MakeApi) -> None:
        """`session` is the account's; `api` asks the servers of others."""
        self._did = did
        self._session = session
        self._api = api

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        server = await self._session.server(self._did)
        try:
            await self._get_record(self._api(server, {}), self._did, POST, key_of(errand))
        except _AbsentError:
            return None
        except ExpiredError:
            raise AwayError("its server wants a session for what everybody may read") from None
        return _answer(self._did, key_of(errand))

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        found = AT_URI.fullmatch(errand.thing)
        if found is None:
            raise RefusedError(GONE)
        made_at = errand.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{errand.at.microsecond // 1000:03}Z"
        if errand.deed in HIDINGS:
            await self._hide(errand, made_at)
            return Done()
        did, collection, key = found.groups()
        their = await self._theirs(did, collection, key)
        # Not the address that their server gives: it could be that of anything.
        subject = {"uri": errand.thing, "cid": their.cid}
        if errand.deed == "like":
            await self._put(LIKE, key_of(errand), {"$type": LIKE, "subject": subject, "createdAt": made_at})
            return Done()
        root = subject
        if their.value.reply is not None and errand.thread != errand.thing:
            root = {"uri": their.value.reply.root.uri, "cid": their.value.reply.root.cid}
            if root["uri"] != (errand.thread or root["uri"]) or not _CID.fullmatch(root["cid"]):
                raise RefusedError(ELSEWHERE)
        text = errand.text or ""
        record = {
            "$type": POST,
            "text": text,
            "createdAt": made_at,
            "reply": {"root": root, "parent": subject},
            "facets": links_in(text),
        }
        await self._put(POST, key_of(errand), record)
        return _answer(self._did, key_of(errand))

    async def _hide(self, errand: Errand, made_at: str) -> None:
        """Whoever wrote the comment is not asked: in whose thread it stands was known when it came in."""
        root = AT_URI.fullmatch(errand.thread or "")
        if root is None or root[1] != self._did or root[2] != POST:
            raise RefusedError(OTHERS)
        for _ in range(TRIES):
            cid, gate = await self._gate(root[3])
            try:
                record = changed(gate, errand.thing, hide=errand.deed == "hide", post=root[0], made_at=made_at)
            except GateError as error:
                raise RefusedError(str(error)) from None
            if record is None:
                return
            try:
                await self._put(THREADGATE, root[3], record, swapRecord=cid)
            except _SwappedError:
                continue
            return
        raise AwayError("the settings of its thread are being changed by somebody else")

    async def _gate(self, key: str) -> tuple[str, dict[str, Any]] | tuple[None, None]:
        """With a session, because a server that is shared by many knows by it where the account's records are."""
        query = {"repo": self._did, "collection": THREADGATE, "rkey": key}
        try:
            answer = await self._session.ask(lambda its: its.get("/xrpc/com.atproto.repo.getRecord", query))
        except _AbsentError:
            return None, None
        found = read(answer, _Gate)
        return found.cid, found.value

    async def _put(self, collection: str, key: str, record: dict[str, Any], **swap: str | None) -> None:
        body = {"repo": self._did, "collection": collection, "rkey": key, "record": record, **swap}
        said = msgspec.json.encode(body)
        await self._session.ask(lambda its: its.post("/xrpc/com.atproto.repo.putRecord", said, kind=JSON))

    async def _theirs(self, did: str, collection: str, key: str) -> _Record:
        """A record of somebody else. Whatever is wrong with their server, nothing was written yet."""
        try:
            server = await self._session.server(did)
            found = await self._get_record(self._api(server, {}), did, collection, key)
        except (AttentionError, ExpiredError):
            raise AttentionError(f"{_THEIRS} does not show it to everybody") from None
        except LimitedError:
            # How long it wants us to wait is up to it, and no limit of the account's.
            raise AttentionError(f"{_THEIRS} limits who may ask") from None
        except AwayError as error:
            raise AttentionError(f"{_THEIRS} does not answer as it should: {error}") from None
        if not _CID.fullmatch(found.cid):
            raise RefusedError(GONE)
        return found

    async def _get_record(self, api: Api, did: str, collection: str, key: str) -> _Record:
        query = {"repo": did, "collection": collection, "rkey": key}
        return read(await api.get("/xrpc/com.atproto.repo.getRecord", query), _Record)


_THEIRS = "the server of who wrote the comment"


def key_of(errand: Errand) -> str:
    """The key of what an errand makes: a TID of when it was asked for."""
    noise = int.from_bytes(hashlib.sha256(errand.id.encode()).digest()[:3])
    number = (ms(errand.at) * 1000 + (noise >> 10) % 1000) << 10 | noise & 1023
    return "".join(_TID[number >> (5 * place) & 31] for place in reversed(range(13)))


def links_in(text: str) -> list[dict[str, Any]]:
    """Where a text has addresses, so that they can be clicked; counted in bytes, as Bluesky does."""
    return [
        {
            "index": {
                "byteStart": len(text[: found.start()].encode()),
                "byteEnd": len(text[: found.end()].encode()),
            },
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": found[0]}],
        }
        for found in _LINK.finditer(text)
    ]


def _answer(did: str, key: str) -> Done:
    return Done(f"at://{did}/{POST}/{key}", f"https://bsky.app/profile/{did}/post/{key}")


def _refused(status: int, body: bytes) -> Exception | None:
    if (ended := of_session(status, body)) is not None:
        return ended
    try:
        found = decode(body, Failure)
    except UnreadableError:
        return None
    if found.error == "RecordNotFound":
        return _AbsentError(GONE)
    if found.error == "RepoNotFound" or status == httpx.codes.NOT_FOUND:
        return RefusedError(GONE)
    if found.error == "InvalidSwap":
        return _SwappedError("somebody else changed the same record")
    if status == httpx.codes.BAD_REQUEST:
        said = refusal(body, Failure, lambda its: its.message or its.error)
        return _AbsentError(GONE) if "Could not locate record" in said else RefusedError(said)
    return None
