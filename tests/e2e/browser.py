"""A real Chromium: one that is there, else the distribution's, else Playwright's own; else the tests skip, aloud."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
INSTALL_SECONDS = 300
EXPECTED_WITHIN_MS = 30_000
"""A page of a busy machine may take longer than Playwright's own five seconds."""
expect.set_options(timeout=EXPECTED_WITHIN_MS)


class NoBrowserError(Exception):
    """This machine has no Chromium and cannot get one."""


def _there() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _from_the_distribution() -> str | None:
    """Installs Debian's package where this user may."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        return None
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.SubprocessError, OSError):
            return None
    return _there()


def _own_of_playwright() -> bool:
    try:
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (subprocess.SubprocessError, OSError):
        return False
    return True


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium without a window. Raises NoBrowserError where there is none to be had."""
    path = _there() or _from_the_distribution()
    if path is None and not _own_of_playwright():
        raise NoBrowserError("no Chromium on the PATH, none from the distribution, none from Playwright")
    with sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        except Error as error:
            what = path or "the one of Playwright"
            raise NoBrowserError(f"{what} does not start: {str(error).splitlines()[0]}") from error
        try:
            yield started
        finally:
            started.close()


# Not for the session: Playwright keeps an event loop in this thread, in which no other test could run one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """`chromium` for a module."""
    with contextlib.ExitStack() as ending:
        try:
            started = ending.enter_context(chromium())
        except NoBrowserError as error:
            pytest.skip(f"NO BROWSER: {error}")
        yield started
