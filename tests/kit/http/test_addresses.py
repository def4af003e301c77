"""A client's URL never leads into our own network, however its address is spelled."""

import asyncio
import ipaddress

import pytest

from rapport.kit.http.addresses import Address, is_public, spelled
from rapport.kit.http.outgoing import Guard, NoPublicAddressError, RefusedAddressError, described

INSIDE = [
    "127.0.0.1", "127.1", "0x7f.0.0.1", "0177.0.0.1", "2130706433", "0x7f000001", "localhost", "0.0.0.0", "0",
    "10.0.0.1", "172.16.5.4", "192.168.1.1", "100.64.0.1", "169.254.169.254", "2852039166", "224.0.0.1",
    "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::7f00:1",
    "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1",
]  # fmt: skip


NAMED_INSIDE = [
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "redis", "metadata", "metadata.google.internal",
    "printer.local", "router.lan", "nas.home.arpa", "ⓛocalhost", "１２７.0.0.1", "127。0.0.1",
]  # fmt: skip
NO_HOST = [
    "xn--localhost-", "xn--127-.0.0.1", "xn--zzzz999999.example", "%31%32%37.0.0.1", "a..b", ".", "-a.example",
    "[::1%25eth0]", "[127.0.0.1]", "a" * 300,
]  # fmt: skip


def url(host: str) -> str:
    return f"https://[{host}]/" if ":" in host and not host.startswith("[") else f"https://{host}/"


def asked(url: str, *, allow_private: bool = False, found: list[str] | None = None) -> Address:
    """Where the guard would connect, when names lead to `found`."""

    async def lookup(host: str, port: int) -> list[Address]:
        if found is None:
            raise AssertionError(f"{host} was looked up")
        return [ipaddress.ip_address(each) for each in found]

    return asyncio.run(Guard(allow_private=allow_private, lookup=lookup).target(url, "https", "http")).addresses[0]


@pytest.mark.parametrize("host", [*INSIDE, *NAMED_INSIDE])
def test_an_address_of_ours_is_refused_in_every_spelling_without_being_looked_up(host: str) -> None:
    with pytest.raises(RefusedAddressError, match="not a public address"):
        asked(url(host))


@pytest.mark.parametrize("host", NO_HOST)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(RefusedAddressError, match="refused"):
        asked(url(host))
    with pytest.raises(RefusedAddressError, match="refused"):
        asked(url(host), allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/", "http://a.example/", "https://", "https:///x", "//a.example/", "https://a.example\\@127.0.0.1/",
        "https://a.example:99999/", "https://a b.example/", "https://a.example/\r\nX: y", "file:///etc/passwd", "",
    ],
)  # fmt: skip
def test_only_tls_to_a_proper_address_is_called(url: str) -> None:
    with pytest.raises(RefusedAddressError, match="refused"):
        asked(url)


@pytest.mark.parametrize("found", [["10.0.0.5"], ["93.184.216.34", "10.0.0.5"], ["::1"], []])
def test_a_name_that_leads_inside_looks_like_one_that_leads_nowhere(found: list[str]) -> None:
    with pytest.raises(NoPublicAddressError) as raised:
        asked("https://db.agency.example/", found=found)
    assert described(raised.value) == "the host name leads to no public address"


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    assert asked("https://shop.example/in", found=["93.184.216.34"]) == ipaddress.ip_address("93.184.216.34")
    assert asked("https://user:pass@93.184.216.34:8443/") == ipaddress.ip_address("93.184.216.34")
    assert asked("https://müller.example/", found=["2606:4700::1111"]) == ipaddress.ip_address("2606:4700::1111")


@pytest.mark.parametrize(("host", "address"), [("127.1", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("::1", "::1")])
def test_every_spelling_of_an_address_is_known(host: str, address: str) -> None:
    assert spelled(host) == ipaddress.ip_address(address)
    assert spelled("a.example") is None


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_an_address_out_on_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_private_addresses_are_reached_where_the_installation_allows_it() -> None:
    assert asked("http://127.0.0.1/", allow_private=True) == ipaddress.ip_address("127.0.0.1")
    assert asked("http://redis/", allow_private=True, found=["10.0.0.5"]) == ipaddress.ip_address("10.0.0.5")
