"""What one connection to the API and the portal may cost. Both run without Kafka and MongoDB here."""

import contextlib
from collections.abc import Iterator

import pytest

from rapport.kit.http.asgi import DISCARDED
from rapport.kit.http.serving import Limits, Server
from services.api.app import create_app, serve
from services.api.http.files.sizes import LARGEST_FORM_OF_A_FILE
from tests.kit.http.connections import GET, SHORT, connected, everything, is_refused, running, status_of
from tests.services.api.conftest import settings_for

pytestmark = pytest.mark.slow

UNKNOWN_KEY = GET.replace(b"/ ", b"/v1/brands ", 1)
LOGIN_PAGE = GET.replace(b"/ ", b"/login ", 1)
POST = b"POST /brands/acme/calendar/file HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
FORM = b"application/x-www-form-urlencoded"


@contextlib.contextmanager
def api(limits: Limits) -> Iterator[Server]:
    """API and portal."""
    settings = settings_for("127.0.0.1:1", "mongodb://127.0.0.1:1", "none")
    with running(serve(create_app(settings), settings, limits)) as server:
        yield server


def test_who_says_nothing_is_hung_up_on_before_and_after_a_request() -> None:
    with api(SHORT) as server, contextlib.ExitStack() as opened:
        silent, calling, looking = (opened.enter_context(connected(server)) for _ in range(3))
        assert status_of(calling, UNKNOWN_KEY) == 401
        assert status_of(looking, LOGIN_PAGE) == 200
        assert [everything(each) for each in (calling, looking, silent)] == [b"", b"", b""]


def test_a_request_that_is_too_large_or_too_slow_is_ended() -> None:
    with api(SHORT) as server, contextlib.ExitStack() as opened:
        large, slow, slower = (opened.enter_context(connected(server)) for _ in range(3))
        large.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * SHORT.head_bytes)
        slow.sendall(b"GET / HT")
        slower.sendall(POST % (b"application/json", 9) + b"{")
        for connection, status in ((large, 431), (slow, 408), (slower, 408)):
            is_refused(everything(connection), status)


def test_a_body_that_is_too_large_is_refused_and_the_connection_goes_on_unless_its_rest_is_unread() -> None:
    with api(Limits()) as server, connected(server) as connection, connected(server) as unread:
        for kind, body in (
            (b"application/json", b"x" * (LARGEST_FORM_OF_A_FILE + 1)),
            (FORM, b"a=1&" * 1001),
            (FORM, b"a=" + b"%0A" * 75_001 + b"%0a" * 75_000),
        ):
            assert status_of(connection, POST % (kind, len(body)) + body) == 413
        assert status_of(connection, LOGIN_PAGE) == 200
        unread.sendall(POST % (b"application/json", DISCARDED + 1))
        is_refused(everything(unread), 413)
