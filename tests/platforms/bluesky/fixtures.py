"""The session's Bluesky network, for pytest."""

from collections.abc import Iterator

import pytest

from tests.platforms.bluesky.install import NotInstallableError
from tests.platforms.bluesky.network import Network


@pytest.fixture(scope="session")
def bluesky() -> Iterator[Network]:
    """A real PDS and PLC directory; skips, saying why, where the machine cannot have them."""
    network = Network()
    try:
        network.__enter__()
    except NotInstallableError as error:
        pytest.skip(str(error))
    try:
        yield network
    finally:
        network.__exit__(None, None, None)
