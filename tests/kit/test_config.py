"""Settings that are wrong stop the start, and the error names them."""

import pytest
from pydantic import ValidationError

from rapport.kit.config import PublicSettings, ReaderSettings, TracedSettings
from services.ingest.connectors.x.settings import XSettings


def test_records_to_put_aside_are_taken_as_readiness_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_PUT_ASIDE", " rapport.conversations.v1:3:88110, rapport.alerts.v1:0:0,")
    assert ReaderSettings(port=1).places == {"rapport.conversations.v1:3:88110", "rapport.alerts.v1:0:0"}
    monkeypatch.setenv("RAPPORT_PUT_ASIDE", "")
    assert ReaderSettings(port=1).places == frozenset()


@pytest.mark.parametrize(
    "wrong",
    [
        "all",
        "rapport.conversations.v1:3",
        "rapport.conversations.v1/3/88110",
        "rapport.conversations.v1:3:88110;rapport.alerts.v1:0:0",
        "rapport.conversations.v1:3:088110",
        "rapport.conversations.v1:3:-1",
        "rapport.conversations.v1:3:٣",
        "rapport.conversations.v1:3:" + "9" * 5_000,
        ":0:0",
    ],
)
def test_what_is_no_place_of_a_record_stops_the_start(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_PUT_ASIDE", f"rapport.alerts.v1:0:0,{wrong}")
    with pytest.raises(ValidationError, match=r"put_aside\n.*entry 2 is not"):
        ReaderSettings(port=1)


@pytest.mark.parametrize("right", ["", "http://collector:4318", "https://[::1]:4318/otlp", "http://collector"])
def test_traces_go_to_an_address(right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TRACES", right)
    assert TracedSettings(port=1).traces == right


@pytest.mark.parametrize(
    "wrong",
    [
        "collector:4318",
        "http://",
        "http://[",
        "http://a:99999",
        "ftp://a",
        "http://me:secret@a:4318",
        "http://a/?b",
        "x",
    ],
)
def test_what_is_no_address_for_traces_stops_the_start(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TRACES", wrong)
    with pytest.raises(ValidationError, match=r"traces\n"):
        TracedSettings(port=1)


def test_a_secret_in_a_header_may_come_from_a_file_that_ends_with_a_line_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_X_BEARER", " AAAA%2Fbb==\n")
    assert XSettings(port=1).x_bearer.get_secret_value() == "AAAA%2Fbb=="


@pytest.mark.parametrize("wrong", ["AAAA bbbb", "AAAA\nbbbb", "AAAÄ", "AAAA\x7f"])
def test_a_secret_that_no_header_can_carry_stops_the_start_and_is_not_shown(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_X_BEARER", wrong)
    with pytest.raises(ValidationError, match=r"x_bearer\n.*no header can carry") as error:
        XSettings(port=1)
    assert "AAA" not in str(error.value)


@pytest.mark.parametrize("wrong", ["0", "-1", "1.01", "nan", "inf", "half"])
def test_the_share_of_traces_is_a_share(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TRACES_SHARE", wrong)
    with pytest.raises(ValidationError, match=r"traces_share\n"):
        TracedSettings(port=1)


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TRUSTED_PROXIES", " 10.0.0.0/8, 2001:db8::/32,192.0.2.1,")
    assert PublicSettings(port=1, internal_port=2).proxies == ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]
    monkeypatch.setenv("RAPPORT_TRUSTED_PROXIES", "")
    assert PublicSettings(port=1, internal_port=2).proxies == []


@pytest.mark.parametrize("wrong", ["*", "proxy", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8;192.0.2.1", "127.0.0.1:80"])
def test_what_is_no_address_of_a_proxy_stops_the_start(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TRUSTED_PROXIES", f"192.0.2.2,{wrong}")
    with pytest.raises(ValidationError, match=r"trusted_proxies\n"):
        PublicSettings(port=1, internal_port=2)
