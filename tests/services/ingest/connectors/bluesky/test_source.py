"""Connections of accounts and what is asked of their streams."""

from datetime import UTC, datetime, timedelta

import pytest

from services.ingest.connectors.bluesky.source import (
    FARTHEST_BACK,
    REWIND_EVENTS,
    REWIND_US,
    UnusableConnectionError,
    source_of,
    start_of,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DID = "did:plc:acme"


def url(position: int | None = None, **connection: str) -> str:
    source = source_of({"did": DID, **connection})
    assert source is not None
    return source.url(position)


def test_a_service_is_asked_for_its_repositories_in_any_spelling() -> None:
    wanted = "wss://pds.example/xrpc/com.atproto.sync.subscribeRepos"
    for given in ("https://pds.example", "wss://pds.example/", wanted):
        assert url(service=given) == wanted
    assert url(service="http://localhost:2583").startswith("ws://localhost:2583/xrpc/")


def test_a_position_is_rewound_and_never_below_nothing() -> None:
    assert url(REWIND_EVENTS + 7, service="wss://pds.example").endswith("?cursor=7")
    assert url(7, service="wss://pds.example").endswith("?cursor=0")
    assert f"cursor={10**15}" in url(10**15 + REWIND_US, jetstream="wss://jetstream.example")


def test_a_jetstream_without_a_path_is_tried_in_both_versions_and_one_with_a_path_as_it_is_named() -> None:
    newer = "wss://jetstream.example/xrpc/network.bsky.jetstream.subscribeEvents"

    def tried(given: str) -> list[tuple[str, str]]:
        source = source_of({"did": DID, "jetstream": given})
        assert source is not None
        return [(each.wire, each.address) for each in source.versions()]

    older = ("jetstream", "wss://jetstream.example/subscribe")
    for given in ("wss://jetstream.example", "https://jetstream.example/"):
        assert tried(given) == [("jetstream_v2", newer), older]
    assert tried("wss://jetstream.example/subscribe") == [older]
    assert tried(newer) == [("jetstream_v2", newer)]
    server = "wss://jetstream.example"
    bare, named = (source_of({"did": DID, "jetstream": server + path}) for path in ("", "/subscribe"))
    assert bare == named, "they are read by one stream, because they have one position"
    source = source_of({"did": DID, "service": "wss://pds.example"})
    assert source is not None
    assert source.versions() == (source,)


def test_no_connection_is_no_source() -> None:
    assert source_of({}) is None
    assert source_of({"did": DID}) is None


@pytest.mark.parametrize(
    ("connection", "named"),
    [
        ({"service": "wss://a.example"}, "did"),
        ({"service": "wss://a.example", "did": "acme.example"}, "did"),
        ({"service": "a.example", "did": DID}, "connection.service"),
        ({"jetstream": "ftp://a.example", "did": DID}, "connection.jetstream"),
        ({"service": "wss://a.example", "jetstream": "wss://b.example", "did": DID}, "both"),
    ],
)
def test_an_unusable_connection_is_refused_with_the_reason(connection: dict[str, str], named: str) -> None:
    with pytest.raises(UnusableConnectionError, match=named):
        source_of(connection)


@pytest.mark.parametrize("field", ["service", "jetstream"])
@pytest.mark.parametrize("address", ["wss://me:hunter2@a.example/x", "https://hunter2@a.example", "wss://me:hunter2@"])
def test_a_login_in_an_address_is_refused_and_not_repeated(field: str, address: str) -> None:
    with pytest.raises(UnusableConnectionError, match=f"connection.{field} has a login") as refused:
        source_of({field: address, "did": DID})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("address", ["me:hunter2@a.example", "https:me:hunter2@a.example", "wss://[me:hunter2@a"])
def test_what_is_no_address_is_refused_without_what_may_be_a_login_in_it(address: str) -> None:
    with pytest.raises(UnusableConnectionError, match="has to be an address such as") as refused:
        source_of({"jetstream": address, "did": DID})
    assert "hunter2" not in str(refused.value)


def test_an_at_sign_elsewhere_is_no_login() -> None:
    assert url(service="wss://proxy.example/@pds") == "wss://proxy.example/@pds"


def test_a_new_account_starts_when_it_was_connected_within_a_day() -> None:
    hour_ago, month_ago = NOW - timedelta(hours=1), NOW - timedelta(days=30)

    def us(at: datetime) -> int:
        return int(at.timestamp()) * 1_000_000

    assert start_of(None, hour_ago, NOW) == us(hour_ago)
    assert start_of(us(NOW), hour_ago, NOW) == us(hour_ago)
    assert start_of(us(NOW), month_ago, NOW) == us(NOW - FARTHEST_BACK)
    assert start_of(us(month_ago), hour_ago, NOW) == us(month_ago)
    assert start_of(None, NOW + timedelta(days=1), NOW) == us(NOW)
