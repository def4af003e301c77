"""Settings that are wrong stop the start, and the error names them."""

import pytest
from pydantic import ValidationError

from rapport.kit.config import ReaderSettings


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
