"""`rapport accounts add --connect` and `accounts check`, as somebody at a terminal sees them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from tests.platforms.graph import FAILED, GraphServer
from tests.services.api.conftest import ADMIN_KEY
from tests.services.api.connecting.world import World, vendor, world

pytestmark = pytest.mark.stack
PATIENT_SECONDS = 120


@pytest.fixture
def facebook(stack: Running, views: Database[Document]) -> Iterator[World]:
    with vendor("facebook") as server, world(stack, views, server) as found:
        yield found


def started(found: World, *words: str) -> subprocess.Popen[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
    env |= {"RAPPORT_API_URL": found.api.url, "RAPPORT_KEY": ADMIN_KEY, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "rapport.cli", "accounts", *words]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def connecting(found: World, *more: str) -> tuple[subprocess.Popen[str], str]:
    """The command, and the path of the page that it names."""
    words = ("add", found.brand, f"{found.brand}-page", "--platform", "facebook", "--connect", *more)
    running = started(found, *words)
    out: Any = running.stdout
    assert out.readline().startswith("open in a browser")
    return running, out.readline().strip().removeprefix("https://portal.example")


def ended(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = running.communicate(timeout=PATIENT_SECONDS)
    return running.returncode, out, err


def test_it_names_the_address_waits_and_says_what_is_missing(facebook: World) -> None:
    facebook.server.refused = {"pages_messaging"}
    running, path = connecting(facebook)
    facebook.visitor.get(facebook.consented(path))
    assert f'value="{facebook.brand}-page"' in facebook.visitor.get(path).text
    assert running.poll() is None
    assert facebook.choose(path, "4001", f"{facebook.brand}-page").status_code == 303
    code, out, err = ended(running)
    assert code == 0, err
    assert f"{facebook.brand}-page is connected" in out
    assert "Facebook sends comments and mentions from now on" in out
    assert "not allowed to read and answer messages to the page (pages_messaging)" in out
    code, out, _ = ended(started(facebook, "check", facebook.brand))
    assert "not allowed to read and answer messages to the page (pages_messaging). Connect again" in out
    assert "its connection ends at 20" in out
    # The same command gives it a new token. What is not sent then is no failure of it.
    assert isinstance(facebook.server.interface, GraphServer)
    facebook.server.interface.refuse(FAILED)
    running, path = connecting(facebook)
    facebook.visitor.get(facebook.consented(path))
    assert facebook.choose(path, "4001").status_code == 303
    code, out, err = ended(running)
    assert (code, f"{facebook.brand}-page has a new token" in out) == (0, True), err
    assert "Facebook does not send what happens on it: Facebook answered 500" in out


def test_it_names_the_step_that_failed(facebook: World) -> None:
    facebook.server.denies = True
    running, path = connecting(facebook)
    facebook.visitor.get(facebook.consented(path))
    code, _, err = ended(running)
    assert code == 1
    assert "what failed is the consent: the consent was refused at Facebook" in err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--platform", "x", "--connect"), "RAPPORT_X_CLIENT_ID"),
        (("--platform", "myspace", "--connect"), "there is no such way to log in"),
        (("--platform", "facebook", "--connect", "--connection", "page=1"), "asks the platform for 'page'"),
        (("--platform", "facebook", "--connect", "--staff", "1"), "--connect takes --connection alone"),
        (("--platform", "facebook"), "--handle"),
    ],
)
def test_what_cannot_begin_says_why(facebook: World, words: tuple[str, ...], why: str) -> None:
    code, _, err = ended(started(facebook, "add", facebook.brand, "an-account", *words))
    assert code != 0
    assert why in err
