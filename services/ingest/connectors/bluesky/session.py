"""An account's session with its own server, opened with an app password, and opened again when it has ended.

Source: https://docs.bsky.app/docs/api/com-atproto-server-create-session and https://atproto.com/specs/did
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Struct

from services.ingest.errands.words import read
from services.ingest.hooks.delivery import UnreadableError, decode
from services.ingest.polling.api import Api, AttentionError, RefusedError

JSON = "application/json"
_ENDED = frozenset({"ExpiredToken", "InvalidToken"})
_NOT_LET_IN = frozenset({"AuthenticationRequired", "AuthFactorTokenRequired"})

MakeApi: TypeAlias = Callable[[str, Mapping[str, str]], Api]
"""The interface of the server at an address, with headers for every request."""


class ExpiredError(Exception):
    """The session has ended."""


class Failure(Struct):
    """What a server says of a request that failed."""

    error: str | None = None
    message: str | None = None


class _Service(Struct, rename="camel"):
    id: str = ""
    service_endpoint: str = ""


class _Document(Struct):
    service: list[_Service] = []


class _Opened(Struct, rename="camel"):
    access_jwt: str


class Session:
    """Of one account. `api` has to make ExpiredError of the answers that `refused` makes it of."""

    def __init__(self, did: str, password: str, service: str | None, directory: str, api: MakeApi) -> None:
        """`service` is the account's server; where it is not given, its DID document in `directory` names it."""
        self._did = did
        self._password = password
        self._service = service
        self._directory = directory
        self._api = api
        self._opened: Api | None = None

    async def ask(self, ask: Callable[[Api], Awaitable[bytes]]) -> bytes:
        """What the account's server answers to the account. Raises AttentionError, and as `ask` and `server`."""
        try:
            return await ask(self._opened or await self._open())
        except ExpiredError:
            self._opened = None
        try:
            return await ask(await self._open())
        except ExpiredError:
            self._opened = None
            raise AttentionError("its server ends every session at once") from None

    async def server(self, did: str) -> str:
        """The address of the server that has somebody's records. Raises as an Api, and RefusedError."""
        if did == self._did and self._service:
            return _base(self._service)
        return await server_of(did, self._api(self._directory, {}))

    async def _open(self) -> Api:
        server = await self.server(self._did)
        said = msgspec.json.encode({"identifier": self._did, "password": self._password})
        try:
            answer = await self._api(server, {}).post("/xrpc/com.atproto.server.createSession", said, kind=JSON)
        except ExpiredError:
            raise AttentionError("its server does not accept its app password") from None
        token = read(answer, _Opened).access_jwt
        self._opened = self._api(server, {"Authorization": f"Bearer {token}"})
        return self._opened


async def server_of(did: str, directory: Api) -> str:
    """The address of the server that has somebody's records, as their DID document says.

    Raises as an Api, and RefusedError.
    """
    if not did.startswith("did:plc:"):
        raise RefusedError("it was written from a server that is not in the directory")
    document = read(await directory.get(f"/{did}"), _Document)
    found = next((one.service_endpoint for one in document.service if one.id.endswith("#atproto_pds")), "")
    return _base(found)


def refused(status: int, body: bytes) -> Exception | None:
    """What an answer other than 200 says of the session. None where it says nothing of it."""
    try:
        found = decode(body, Failure)
    except UnreadableError:
        return None
    if found.error in _ENDED:
        return ExpiredError()
    if found.error in _NOT_LET_IN or status == httpx.codes.UNAUTHORIZED:
        return AttentionError("its server does not accept its app password")
    return None


def _base(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}"
