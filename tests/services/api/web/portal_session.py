"""Somebody who is logged in to the portal."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.services.api.conftest import ADMIN_KEY, Served


@contextmanager
def logged_in(api: Served, key: str = ADMIN_KEY) -> Iterator[httpx.Client]:
    """A client with a session of the portal."""
    with httpx.Client(base_url=api.url, timeout=30) as client:
        answer = client.post("/login", data={"key": key})
        assert answer.status_code == 303, answer.text
        yield client
