"""Which addresses are on the public internet, and where host names lead."""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
T = TypeVar("T")

MOST_ADDRESSES = 4
"""Of a name, that are tried."""
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# IPv4-compatible addresses are long deprecated (RFC 4291), yet some stacks still deliver them to the IPv4 inside.
IPV4_COMPATIBLE = ipaddress.ip_network("::/96")


def in_turn(addresses: Sequence[T], until: float) -> Iterator[tuple[T, float]]:
    """The addresses of a name that are tried, each with the seconds that it may take to connect: one that drops what it
    is sent must leave time for the others. All end at `until`, of the monotonic clock.
    """
    tried = addresses[:MOST_ADDRESSES]
    for number, address in enumerate(tried):
        yield address, max(0.001, (until - time.monotonic()) / (len(tried) - number))


def is_public(address: Address) -> bool:
    """Whether an address, and any IPv4 address wrapped in it, is on the public internet."""
    return all(_is_outside(one) for one in _unwrapped(address))


def _is_outside(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False  # fec0::/10, which Python counts as global since nobody should use it any more
    return address.is_global and not address.is_multicast and not address.is_reserved


def _unwrapped(address: Address) -> Iterator[Address]:
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    inner: list[ipaddress.IPv4Address] = []
    if address.ipv4_mapped is not None:
        inner.append(address.ipv4_mapped)
    elif address in NAT64 or address in IPV4_COMPATIBLE:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.extend(address.teredo)
    yield from inner
    # A mapped or translated address is as public as what it wraps; the outer form says nothing about it.
    if not inner or address.sixtofour is not None or address.teredo is not None:
        yield address


def spelled(host: str) -> Address | None:
    """The address that a host spells out, in any spelling that a resolver would take: `127.1`, `0x7f.1`, `::1`.

    None if it is a name.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        # As getaddrinfo does: octal, hexadecimal and fewer than four parts too.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


Lookup = Callable[[str, int], Awaitable[list[Address]]]
"""Looks up a host name. Raises OSError if it leads nowhere."""


async def system_lookup(host: str, port: int) -> list[Address]:
    """Looks a name up as the system does, in a thread. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # ipaddress compares addresses without their zone (`fe80::1%eth0`).
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))
