"""A client's URL never leads into our own network, however its address is spelled."""

import asyncio
import ipaddress

import pytest

from services.notifier.channels.addresses import RefusedAddressError, is_public, resolve

INSIDE = [
    "127.0.0.1", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "0x7f000001", "localhost", "0.0.0.0", "0",
    "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166", "224.0.0.1",
    "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::7f00:1",
    "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_of_ours_is_refused_in_every_spelling(host: str) -> None:
    with pytest.raises(RefusedAddressError, match="not a public address"):
        asyncio.run(resolve(host, 443, allow_private=False))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_an_address_out_on_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_private_addresses_are_reached_where_the_installation_allows_it() -> None:
    found = asyncio.run(resolve("127.0.0.1", 80, allow_private=True))

    assert found == [ipaddress.ip_address("127.0.0.1")]
