"""Resolves Bluesky handles to the DID that their domain names (https://atproto.com/specs/handle).

Anybody can claim any handle in their own DID document. It is theirs only where the domain says so, in a DNS record or
in a file on its web server. Both belong to strangers: they are asked through the guard, briefly, and little is read.
"""

import asyncio
import contextlib
import ipaddress
import re
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver
import httpx
import msgspec

from rapport.kit.http.addresses import Address, system_lookup
from rapport.kit.http.outgoing import Guard, GuardedHttp, NoPublicAddressError, RefusedAddressError
from services.ingest.connectors.bluesky.frames import DID

DNS_SECONDS = 2.0
HTTP_SECONDS = 3.0
LARGEST_ANSWER = 2_048
LONGEST_HANDLE = 253
LOCAL_ONLY = ".test"
"""Never in DNS (RFC 6761). The specification of handles reserves it for development."""
_HANDLE = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, OSError, RefusedAddressError, NoPublicAddressError)


class Resolver(Protocol):
    """Tells where a handle leads."""

    async def did_of(self, handle: str, server: str | None) -> str | None:
        """The DID that a handle leads to; None if it leads to none, or nobody answers.

        `server` is the person's server, as named in the DID document that claims the handle.
        """

    async def close(self) -> None:
        """Ends its connections."""


class _Resolved(msgspec.Struct):
    did: str


def is_handle(text: str) -> bool:
    """Whether a text has the form of a handle, in lower case."""
    return len(text) <= LONGEST_HANDLE and _HANDLE.fullmatch(text) is not None


class DomainResolver:
    """Asks the handle's own domain: the record `_atproto.<handle>`, and `https://<handle>/.well-known/atproto-did`."""

    def __init__(self, names: dns.asyncresolver.Resolver, http: GuardedHttp, *, local_network: bool = False) -> None:
        """With `local_network`, handles in `.test` exist, and their servers resolve them."""
        self._names = names
        self._http = http
        self._local_network = local_network

    @classmethod
    def usual(cls, *, allow_private: bool) -> "DomainResolver":
        """With the system's name servers."""
        try:
            names = dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            names = dns.asyncresolver.Resolver(configure=False)
        names.lifetime = DNS_SECONDS

        # Not the system's look-ups: each takes a thread, for as long as a stranger's name server likes.
        async def lookup(host: str, _: int) -> list[Address]:
            return await _addresses(names, host)

        guard = Guard(allow_private=allow_private, lookup=system_lookup if allow_private else lookup)
        return cls(names, GuardedHttp(guard, timeout=HTTP_SECONDS), local_network=allow_private)

    async def did_of(self, handle: str, server: str | None) -> str | None:
        """See Resolver. The DNS record counts first."""
        if handle.endswith(LOCAL_ONLY):
            return await self._by_server(handle, server) if self._local_network and server else None
        from_dns, from_web = await asyncio.gather(self._in_dns(handle), self._on_the_web(handle))
        return from_dns or from_web

    async def close(self) -> None:
        """Ends its connections."""
        await self._http.close()

    async def _in_dns(self, handle: str) -> str | None:
        try:
            answer = await self._names.resolve(f"_atproto.{handle}", "TXT")
        except (dns.exception.DNSException, OSError, ValueError):
            return None
        texts = [b"".join(record.strings).decode("ascii", "replace") for record in answer]
        found = [text.removeprefix("did=") for text in texts if text.startswith("did=")]
        # By the specification, more than one counts as none.
        return found[0] if len(found) == 1 and DID.fullmatch(found[0]) else None

    async def _on_the_web(self, handle: str) -> str | None:
        said = (await self._got(f"https://{handle}/.well-known/atproto-did")).decode("ascii", "replace").strip()
        return said if DID.fullmatch(said) else None

    async def _by_server(self, handle: str, server: str) -> str | None:
        answer = await self._got(f"{server.rstrip('/')}/xrpc/com.atproto.identity.resolveHandle?handle={handle}")
        with contextlib.suppress(msgspec.DecodeError):
            said = msgspec.json.decode(answer, type=_Resolved).did
            return said if DID.fullmatch(said) else None
        return None

    async def _got(self, url: str) -> bytes:
        """The body at an address; empty if it does not answer with success."""
        try:
            status, _, body = await self._http.send("GET", url, {"Accept-Encoding": "identity"}, largest=LARGEST_ANSWER)
        except _FAILURES:
            return b""
        return body if status == httpx.codes.OK else b""


async def _addresses(names: dns.asyncresolver.Resolver, host: str) -> list[Address]:
    async def of(kind: str) -> list[Address]:
        with contextlib.suppress(dns.exception.DNSException, ValueError):
            return [ipaddress.ip_address(record.to_text()) for record in await names.resolve(host, kind)]
        return []

    four, six = await asyncio.gather(of("A"), of("AAAA"))
    return [*four, *six]
