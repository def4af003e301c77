"""Somebody who is logged in to the portal."""

import httpx

from tests.services.api.conftest import ADMIN_KEY, Served


def logged_in(api: Served, key: str = ADMIN_KEY) -> httpx.Client:
    """A client with a session of the portal."""
    client = httpx.Client(base_url=api.url, timeout=30)
    answer = client.post("/login", data={"key": key})
    assert answer.status_code == 303, answer.text
    return client
