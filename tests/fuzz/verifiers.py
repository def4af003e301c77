"""Verifying, fuzzed: nothing is taken that was not signed, whoever sends what in whatever form.

Input is a line that says how it is sent, and behind it the body: `platform sign` has it signed as the platform does,
`platform header …` sends that signature, `platform query …` asks for a challenge.
"""

import asyncio
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from rapport.contracts.events import Account
from rapport.kit.broker.producer import Record, Tombstone
from rapport.kit.health import Health
from services.ingest.broker import Broker
from services.ingest.directory import Directory
from services.ingest.door import Door
from services.ingest.hooks.delivery import UnreadableError
from services.ingest.hooks.endpoint import Hooks
from services.ingest.hooks.hook import UnsignedError
from tests.deliveries import FOLDER, HOOKS, OBSERVED_AT, OLD_SECRET, SECRET, lookup
from tests.deliveries.signing import SIGNS
from tests.fuzz.properties import counted

DOOR = "door"
ANSWERED = frozenset({200, 202, 400, 401, 404, 413, 415, 422})
"""What a sender may be told. Never that something broke."""
_LATIN = "latin-1"
"""How servers read headers."""


def signature(data: bytes) -> None:
    """Checks a signature: right ones are right, and no other one is."""
    platform, how, given, body = _read(data)
    if platform not in HOOKS:
        return
    hook, sign = HOOKS[platform], SIGNS[platform]
    (name,) = sign(body, SECRET, OBSERVED_AT)
    if how == "sign":
        hook.check(sign(body, SECRET, OBSERVED_AT), body, OBSERVED_AT)
        return
    try:
        counted(lambda: hook.check({name: given}, body, OBSERVED_AT), len(data))
    except UnsignedError:
        return
    ours = [_digest(platform, body, secret, given) for secret in (SECRET, OLD_SECRET)]
    assert any(each in given for each in ours), f"taken with {given!r}"


def _digest(platform: str, body: bytes, secret: str, given: str) -> str:
    """The part of a signature that nobody can guess."""
    if platform != "tiktok":
        (header,) = SIGNS[platform](body, secret, OBSERVED_AT).values()
        return header.removeprefix("sha256=")
    sent = next(part.strip()[2:] for part in reversed(given.split(",")) if part.strip().startswith("t="))
    return hmac.new(secret.encode(), sent.encode(_LATIN) + b"." + body, hashlib.sha256).hexdigest()


def challenge(data: bytes) -> None:
    """Answers a challenge, or refuses it. What is answered is the signature of no delivery."""
    platform, how, given, _ = _read(data)
    if platform not in HOOKS or how != "query":
        return
    hook = HOOKS[platform]
    query = dict(parse_qsl(given, keep_blank_values=True))
    try:
        answer = counted(lambda: hook.challenge(query), len(data))
    except UnsignedError:
        return
    if answer.media_type != "application/json":
        return
    signed = next(value for key, value in json.loads(answer.body).items() if "esponse" in key)
    (name,) = SIGNS[platform](b"", SECRET, OBSERVED_AT)
    for value in query.values():
        for body in {value.encode("utf-8", "surrogatepass"), value.encode().removeprefix(b"hmacsha256=")}:
            try:
                hook.check({name: signed}, body, OBSERVED_AT)
                found = hook.read(body, lambda _: (), OBSERVED_AT)
            except (UnsignedError, UnreadableError):
                continue
            raise AssertionError(f"{given!r} had a delivery signed: {body!r}, {found}")


class _Log:
    """Stands for the broker: what came through is here."""

    def __init__(self) -> None:
        self.taken: list[Record | Tombstone] = []

    async def append(self, records: Sequence[Record | Tombstone], within: float = 0) -> None:
        """Takes them."""
        self.taken += records


class _Accounts:
    """Stands for the directory: these accounts are connected."""

    def __init__(self, accounts: Mapping[str, tuple[str, Account]]) -> None:
        self._accounts = MappingProxyType(dict(accounts))

    def accounts(self) -> MappingProxyType[str, tuple[str, Account]]:
        """All."""
        return self._accounts

    def account(self, id: str) -> tuple[str, Account] | None:
        """One."""
        return self._accounts.get(id)

    def hidden(self) -> bool:
        """Nothing is."""
        return False


class _Served:
    """The doors, with everything behind them but the broker."""

    def __init__(self) -> None:
        self.log, self.loop = _Log(), asyncio.new_event_loop()
        accounts: dict[str, tuple[str, Account]] = {}
        for platform in HOOKS:
            for file in sorted((FOLDER / platform).glob("*.json")):
                if not file.name.endswith(".expected.json"):
                    its = json.loads(file.read_text())["accounts"]
                    watched = [each for one in its for each in lookup(platform, its)(one["id"])]
                    accounts |= {each.account.id: (each.brand, each.account) for each in watched}
        accounts[DOOR] = (
            "b", Account(id=DOOR, platform="generic", handle="a", connected_at=OBSERVED_AT, door_secrets=(SECRET,))
        )  # fmt: skip
        directory, broker = cast(Directory, _Accounts(accounts)), cast(Broker, self.log)
        quiet = logging.getLogger("rapport.fuzz")
        quiet.disabled = True
        self.hooks = Hooks(HOOKS, directory, broker, Health(), lambda: OBSERVED_AT, quiet)
        self.door = Door(directory, broker, Health(), lambda: OBSERVED_AT)

    def post(self, platform: str, headers: Mapping[str, str], body: bytes) -> Response:
        """The answer to a request."""
        scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": "/", "query_string": b"", "client": ("127.0.0.1", 1),
            "path_params": {"platform": platform},
            "headers": [(name.encode(), value.encode(_LATIN)) for name, value in headers.items()],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        take = self.door.post if platform == DOOR else self.hooks.post
        return self.loop.run_until_complete(take(Request(scope, receive)))


@cache
def _served() -> _Served:
    return _Served()


def endpoint(data: bytes) -> None:
    """Sends it over HTTP, but for the network: only what is signed is taken, and nothing breaks."""
    platform, how, given, body = _read(data)
    served, headers = _served(), dict[str, str]()
    (name,) = SIGNS.get(platform, SIGNS["facebook"])(body, SECRET, OBSERVED_AT)
    if platform == DOOR:
        name, headers = "x-rapport-signature-256", {"x-rapport-account": DOOR}
        if how == "sign":
            given = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    elif how == "sign" and platform in SIGNS:
        given = SIGNS[platform](body, SECRET, OBSERVED_AT)[name]
    served.log.taken.clear()
    served.hooks._recent._seen.clear()  # what came before must not matter
    answer = counted(partial(served.post, platform, {**headers, name: given}, body), len(data))
    assert answer.status_code in ANSWERED, f"{answer.status_code}: {bytes(answer.body)!r}"
    if answer.status_code >= 300:
        assert served.log.taken == [], "refused, and taken all the same"
    if how != "sign" and served.log.taken:
        secrets = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in (SECRET, OLD_SECRET)]
        ours = secrets if platform == DOOR else [_digest(platform, body, each, given) for each in (SECRET, OLD_SECRET)]
        assert any(each in given for each in ours), f"taken with {given!r}"


def _read(data: bytes) -> tuple[str, str, str, bytes]:
    """Platform, how, the text of the header or query, and the body."""
    line, _, body = data.partition(b"\n")
    platform, how, given = (*line.decode(_LATIN).split(" ", 2), "", "")[:3]
    return platform, how, given, body


def seeds() -> list[bytes]:
    """Of each platform: deliveries that are signed, signatures in its form, challenges."""
    found = [
        b'door sign\n{"id": "1", "kind": "comment", "actor": {"id": "ada"}, "post": "p"}',
        b"door header sha256=0\n{}",
    ]
    for platform in sorted(HOOKS):
        files = [each for each in sorted((FOLDER / platform).glob("*.json")) if not each.name.endswith("expected.json")]
        for file in files[:6]:
            body = json.dumps(json.loads(file.read_text()).get("body")).encode()
            found.append(f"{platform} sign\n".encode() + body)
        (header,) = SIGNS[platform](b"{}", OLD_SECRET, OBSERVED_AT).values()
        found += [f"{platform} header {each}\n{{}}".encode() for each in (header, header[:-1], f"{header},t=1")]
    queries = {
        "facebook": "hub.mode=subscribe&hub.verify_token=a-verify-token&hub.challenge=1158201444",
        "x": "crc_token=MTcxNjQ1MDU2OTM1ODA5ODQzMg%3D%3D",
        "linkedin": "challengeCode=890e4665-4dfe-4ab1-b689-ed553bceeed0",
        "tiktok": "challenge=1",
    }
    return found + [f"{platform} query {query}\n".encode() for platform, query in queries.items()]
