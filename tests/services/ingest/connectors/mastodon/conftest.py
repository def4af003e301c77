"""A Mastodon server."""

from collections.abc import Iterator

import pytest

from tests.platforms.mastodon import MastodonServer


@pytest.fixture
def server() -> Iterator[MastodonServer]:
    """One that nobody else uses."""
    with MastodonServer() as running:
        yield running
