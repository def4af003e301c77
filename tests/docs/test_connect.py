"""docs/connect.md and the README, followed to the letter on a running installation."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rapport.demo.closing import to_connect, what_happens_next, where_to_look
from rapport.local.running_installation import RunningInstallation
from tests.docs.blocks import ROOT, Shell, blocks
from tests.waiting import until

REFUSED = re.compile(r'"status": ?[45]\d\d')
SUBSTITUTED = {"roastery.example.com": "bsky.app", "did:plc:yourdid": "did:plc:z72i7hdynmk6r22z27h6tvur"}
"""What the page tells the reader to put in."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running installation; gives what `rapport up` prints for a person."""
    folder = tmp_path_factory.mktemp("docs")
    up = subprocess.Popen(
        [sys.executable, "-m", "rapport.cli", "up", "--data", str(folder / "data")],
        stdout=subprocess.PIPE,
        stderr=(folder / "up.log").open("w"),
        text=True,
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}, "COLUMNS": "80"},
    )
    try:
        assert up.stdout is not None
        lines: list[str] = []
        for line in up.stdout:
            lines.append(line)
            if line.startswith("export "):
                break
        assert lines, (folder / "up.log").read_text()
        yield "".join(lines)
    finally:
        up.terminate()
        up.wait(60)


def exports(printed: str) -> str:
    """The line to paste, as the page describes it."""
    (line,) = [line for line in printed.splitlines() if line.startswith("export RAPPORT_API_URL=")]
    return line


@pytest.mark.e2e
def test_connect_md_followed_to_the_letter_ends_with_the_message_in_the_api(printed: str) -> None:
    page = blocks("docs/connect.md")
    (look,) = [block for block in page if "/exchanges?state=open" in block]
    (answer,) = [block for block in page if "ticket-881-answer" in block]
    with Shell() as shell:
        assert shell.run(exports(printed))[0] == 0

        def open_now() -> list[dict[str, Any]]:
            code, said = shell.run(look)
            assert code == 0, said
            items: list[dict[str, Any]] = json.loads(said)["items"]
            return items

        for block in page:
            if block == look:
                until(lambda: [one["first"]["id"] for one in open_now()] == ["ticket-881"], "the message to wait")
                continue
            for given, own in SUBSTITUTED.items():
                block = block.replace(given, own)
            code, said = shell.run(block)
            assert code == 0, said
            assert not REFUSED.search(said), said
            if block == answer:
                until(lambda: open_now() == [], "the answer to count")


@pytest.mark.e2e
def test_what_up_prints_is_also_what_status_prints_and_what_the_demonstration_would(printed: str) -> None:
    line = exports(printed)
    values = dict(part.split("=", 1) for part in shlex.split(line.removeprefix("export ")))
    assert set(values) == {"RAPPORT_API_URL", "RAPPORT_DOOR_URL", "RAPPORT_KEY"}
    assert values["RAPPORT_KEY"] in printed.replace(line, ""), "the admin key is named as such, too"


def test_the_demonstration_ends_by_saying_what_to_look_at_and_what_to_paste() -> None:
    line = RunningInstallation("http://a:1", "http://i:2", "http://a:1/", "k:3", "m", "rp_admin", {})
    now = datetime(2026, 1, 1, tzinfo=UTC)
    follower = {"name": "Mira Kaplan", "handle": "mira", "platform_id": "7"}
    waiting = [
        {
            "brand": "harbour",
            "follower": follower,
            "due_at": (now + timedelta(seconds=s)).isoformat(),
            "backfilled": s < 0,
        }
        for s in (-5, 25, 65, 90)
    ]
    said = list(what_happens_next(waiting, {"harbour": "Harbour Roasters"}, now, now))
    assert said[0].startswith("In 25 seconds: Mira Kaplan will have waited a day for an answer from Harbour Roasters.")
    assert said[1].startswith("In 65 seconds: ")
    assert said[2].startswith("In 2 minutes: a post")
    assert len(said) == 5
    shown = "\n".join(where_to_look(line, "rp_people", "http://inbox:4"))
    assert all(part in shown for part in ("http://a:1/", "rp_people", "http://inbox:4"))
    assert exports("\n".join(to_connect(line))) == (
        "export RAPPORT_API_URL=http://a:1 RAPPORT_DOOR_URL=http://i:2 RAPPORT_KEY=rp_admin"
    )
