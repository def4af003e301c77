"""What the tests of commands about the log may ask for."""

from collections.abc import Iterator

import pytest

from rapport.local.servers.stack import Running, Stack


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A broker of the module's own: every letter in it is its, and nobody else has asked it for a group's position."""
    servers = Stack(tmp_path_factory.mktemp("stack"))
    try:
        yield servers.up(bound=True, any_port=True)
    finally:
        servers.down()
