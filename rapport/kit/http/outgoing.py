"""Calls addresses that somebody else chose: a client's webhook, an account's stream, the host of a handle.

They must not make us call our own network. So a host is resolved first, every address that it leads to has to be on the
public internet, and the connection goes to the address that was checked: a second look-up could lead elsewhere. Nothing
is redirected, no proxy of the environment is used, and plain text is refused. Whoever runs the installation may allow
private addresses and plain text, for tests and demonstrations.

Error texts may be shown to whoever chose the address, so they say nothing about our network. A name that leads
inside looks like one that leads nowhere. The details go to the log.
"""

import asyncio
import contextlib
import functools
import logging
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx
import idna

from rapport.kit.http.addresses import Address, Lookup, in_turn, is_public, spelled, system_lookup

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.(?!-)[a-z0-9_-]{1,63})*")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_INSIDE = ("localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "onion", "test", "invalid")
"""Domains that are never on the public internet (RFC 6761, 6762, 8375, and what networks are commonly called)."""
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SECURE = {"https", "wss"}
_PARTS_AT_ONCE = 500

log = logging.getLogger("rapport.outgoing")


class RefusedAddressError(ValueError):
    """An address that is never called. The text says why, and may be shown to whoever chose it."""


class NoPublicAddressError(OSError):
    """A host name that leads to no public address now. The text may be shown to whoever chose it."""


@dataclass(frozen=True)
class Target:
    """Where to connect for a URL.

    The URL is in ASCII, `host` is what TLS has to prove, and `addresses` are what was checked: one after the other.
    """

    url: str
    host: str
    port: int
    addresses: tuple[Address, ...]
    secure: bool


class Guard:
    """Decides where a URL that somebody else chose may lead."""

    def __init__(self, *, allow_private: bool, lookup: Lookup = system_lookup) -> None:
        """`allow_private` permits private addresses and plain text."""
        self._allow_private = allow_private
        self._lookup = lookup

    def check(self, url: str, *schemes: str) -> tuple[SplitResult, str]:
        """The parts of a URL of one of these schemes, and its host in ASCII. Looks nothing up.

        Raises RefusedAddressError if it can never be called, wherever its name leads.
        """
        parts = _split(url, schemes)
        if parts.scheme not in _SECURE and not self._allow_private:
            raise RefusedAddressError("refused: plain text would be unencrypted; TLS is needed")
        host = _host(parts)
        if not self._allow_private:
            literal = spelled(host)
            inside = not is_public(literal) if literal is not None else _is_inside(host)
            if inside:
                log.warning("an address is refused: %s is not on the public internet", host)
                raise RefusedAddressError("refused: it is not a public address")
        return parts, host

    async def target(self, url: str, *schemes: str) -> Target:
        """Where a URL of one of these schemes leads now.

        Raises RefusedAddressError if it can never be called, NoPublicAddressError if it cannot be called now.
        """
        parts, host = self.check(url, *schemes)
        port = parts.port or _PORTS[parts.scheme]
        shown = f"[{host}]" if ":" in host else host
        userinfo, at, _ = parts.netloc.rpartition("@")
        netloc = f"{userinfo}{at}{shown}" + (f":{parts.port}" if parts.port else "")
        ascii_url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
        return Target(ascii_url, host, port, await self._addresses(host, port), parts.scheme in _SECURE)

    async def _addresses(self, host: str, port: int) -> tuple[Address, ...]:
        if (literal := spelled(host)) is not None:
            return (literal,)
        try:
            found = await self._lookup(host, port)
        except (OSError, UnicodeError) as error:
            log.info("%s does not resolve: %s", host, error)
            found = []
        if not self._allow_private:
            for address in found:
                if not is_public(address):
                    # A name that mixes both is a trick or a mistake.
                    log.warning("an address is refused: %s leads to %s", host, address)
                    found = []
                    break
        if not found:
            raise NoPublicAddressError("the host name leads to no public address")
        return tuple(found)


def _split(url: str, schemes: tuple[str, ...]) -> SplitResult:
    if _UNSAFE.search(url):
        raise RefusedAddressError("refused: an address cannot have blanks, control characters or backslashes")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise RefusedAddressError("refused: not an address") from None
    if parts.scheme not in schemes or not parts.hostname:
        wanted = " or ".join(f"{scheme}://" for scheme in schemes if scheme in _SECURE)
        raise RefusedAddressError(f"refused: not an {wanted} address")
    return parts


def _host(parts: SplitResult) -> str:
    """The host in ASCII. Raises RefusedAddressError for what is neither a name nor an address.

    An encoded name (`xn--…`) has to be one that encoding gives: some decoders take `xn--localhost-` for `localhost`.
    """
    given = parts.hostname or ""
    if ":" in given:
        if spelled(given) is None or "%" in given:
            raise RefusedAddressError("refused: not an address")
        return given
    host = given
    if not given.isascii() or "xn--" in given:
        try:
            host = idna.encode(given, uts46=True).decode("ascii")
            host = host if idna.encode(idna.decode(host)).decode("ascii") == host else ""
        except (idna.IDNAError, UnicodeError):
            host = ""
    host = host.lower().removesuffix(".")
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise RefusedAddressError("refused: what follows :// is not a host name")
    return host


def _is_inside(host: str) -> bool:
    return "." not in host or any(host.endswith(f".{domain}") for domain in _INSIDE)


@functools.cache
def _system_authorities() -> ssl.SSLContext:
    """Reading them takes 30 ms, and a process has a client for each platform."""
    return ssl.create_default_context()


class GuardedHttp:
    """HTTP to addresses that somebody else chose. Use as an async context manager, or close it; safe for many calls at
    once.
    """

    def __init__(self, guard: Guard, *, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`timeout` in seconds is for a whole call. `tls` trusts other authorities than the system does."""
        self._guard = guard
        self._timeout = timeout
        # No proxies from the environment: they would call an address that we did not check.
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=timeout,
            verify=tls or _system_authorities(),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(type, error, trace)

    async def close(self) -> None:
        """Ends its connections."""
        await self._http.aclose()

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None, *, largest: int = 0
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers, and up to `largest` bytes of the body. A redirect is an answer like any other.

        Raises RefusedAddressError, NoPublicAddressError, TimeoutError, httpx.HTTPError.
        """
        async with asyncio.timeout(self._timeout):
            target = await self._guard.target(url, "https", "http")
            host = f"[{target.host}]" if ":" in target.host else target.host
            default = target.port == _PORTS["https" if target.secure else "http"]
            sent = {"Host": host if default else f"{host}:{target.port}", **headers}
            response = await self._answer(method, target, sent, content)
            try:
                return response.status_code, response.headers, await _up_to(response, largest)
            finally:
                # The answer is known; how its connection ends does not matter.
                with contextlib.suppress(httpx.HTTPError, OSError):
                    await response.aclose()

    async def _answer(
        self, method: str, target: Target, headers: Mapping[str, str], content: bytes | None
    ) -> httpx.Response:
        """What the first address that takes a connection answers. Nothing was sent to those before it."""
        failure: Exception = NoPublicAddressError("the host name leads to no public address")
        for address, seconds in in_turn(target.addresses, time.monotonic() + self._timeout):
            request = self._http.build_request(
                method,
                httpx.URL(target.url).copy_with(host=str(address)),
                content=content,
                headers=headers,
                timeout=httpx.Timeout(self._timeout, connect=seconds),
                # The name is still what TLS verifies.
                extensions={"sni_hostname": target.host},
            )
            try:
                return await self._http.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure


async def _up_to(response: httpx.Response, largest: int) -> bytes:
    body = bytearray()
    if largest:
        number = 0
        async for part in response.aiter_raw():  # not decompressed: a small body could hold a huge one
            body += part
            if len(body) >= largest:
                break
            number += 1
            if number % _PARTS_AT_ONCE == 0:
                await asyncio.sleep(0)  # a body in many small parts must not hold up everybody else
    return bytes(body[:largest])


def described(error: Exception) -> str:
    """Why a call failed, for whoever chose the address: the kind of failure, but not where it happened."""
    if isinstance(error, RefusedAddressError | NoPublicAddressError):
        return str(error)
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, ssl.SSLError) or "CERTIFICATE" in str(error) or "[SSL" in str(error):
        return "no encrypted connection (TLS)"
    if isinstance(error, httpx.NetworkError | OSError):
        return "no connection"
    return f"no HTTP answer ({type(error).__name__})"


def moved_to(headers: httpx.Headers) -> str:
    """Where an answer wants to lead, if it says so, as the end of a sentence. Nobody follows it."""
    try:
        host = urlsplit(headers.get("Location", "")).hostname
    except ValueError:
        host = None
    return f", and named {host[:253]!a}" if host else ""
