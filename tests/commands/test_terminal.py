"""What people and servers wrote does nothing to the terminal of whoever reads it there."""

from collections.abc import Callable
from typing import Any

import pytest
import typer

from rapport.commands import accounts, client, options

ODD = "\x1b[2Jsho\x9b31mp\u202e\x07\x00\u2066"
ACCOUNT: dict[str, Any] = {
    "id": "roastery", "handle": ODD, "platform": "mastodon", "connected_at": ODD, "expires_at": None,
    "standing": {"state": "attention", "since": ODD, "why": ODD, "checked_at": None},
    "missing": [{"scope": ODD, "purpose": ODD, "needed": True, "remedy": ODD}],
}  # fmt: skip


def _fails() -> None:
    with pytest.raises(typer.Exit):
        options.fail(f"the API refused: {ODD}")


def _checks() -> None:
    with pytest.raises(typer.Exit):
        accounts.check("roastery")


PRINTS: dict[str, Callable[[], object]] = {
    "a table": lambda: options.print_table({"handle": "handle", "more": "more"}, [{"handle": ODD, "more": [ODD]}]),
    "a failure": _fails,
    "the list of accounts": lambda: accounts.list_("roastery"),
    "how accounts stand": _checks,
}


@pytest.mark.parametrize("what", PRINTS)
def test_nothing_that_a_terminal_acts_on_is_printed(
    what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(client, "items", lambda *_: [{**ACCOUNT}])
    PRINTS[what]()
    out, err = capsys.readouterr()
    assert "shop" in (out + err).replace("31m", "").replace("[2J", "")
    assert [each for each in out + err if not each.isprintable() and each != "\n"] == []
