"""The documentation's pictures of the portal, taken from a running demonstration: `make pictures` writes them anew."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.browser import chromium

FOLDER = Path(__file__).parents[2] / "docs" / "images"
BRAND = "/brands/northfell"
SHOWN_SECONDS = 180
WIDE = {"width": 1280, "height": 1000}
PHONE = {"width": 390, "height": 844}


@contextlib.contextmanager
def _demonstration() -> Iterator[tuple[str, str]]:
    """The portal's address and a key, once the fortnight is played."""
    command = [str(Path(sys.executable).parent / "rapport"), "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found: dict[str, str] = {}
        try:
            for line in process.stdout:
                if match := re.match(r"(Portal|Key)\s+(\S+)", line):
                    found[match[1]] = match[2]
                if "through the signed door" in line:
                    break
            yield found["Portal"], found["Key"]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def _take(browser: Browser, portal: str, key: str, name: str, size: dict[str, int], scale: int) -> None:
    context = browser.new_context(viewport=size, device_scale_factor=scale, base_url=portal)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(BRAND)
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Log in").click()
    # A first breach shows what the page is about: a clock that ran out, and the word that went out for it.
    expect(page.locator(".alert.step-breach").first).to_be_visible(timeout=SHOWN_SECONDS * 1000)
    expect(page.locator("#chart canvas")).to_be_visible()
    page.screenshot(path=FOLDER / name)
    context.close()


def main() -> None:
    """Takes them all."""
    FOLDER.mkdir(exist_ok=True)
    with _demonstration() as (portal, key), chromium() as browser:
        _take(browser, portal, key, "brand.png", WIDE, 1)
        _take(browser, portal, key, "brand-phone.png", PHONE, 2)


if __name__ == "__main__":
    main()
