"""What an endpoint could not take counts as missed, so that a platform is asked to send it again."""

import asyncio
import logging
import math
from typing import Any, cast

import pytest
from starlette.requests import Request

from rapport.kit.health import Health
from rapport.kit.work import BusyError
from services.ingest.broker import Broker
from services.ingest.directory import NOT_READ, Directory
from services.ingest.door import READ_AT_ONCE
from services.ingest.hooks.endpoint import Hooks
from tests.deliveries import HOOKS, OBSERVED_AT, SECRET
from tests.deliveries.signing import x

pytestmark = pytest.mark.anyio
LOG = logging.getLogger("test")


class _NoAccounts:
    def accounts(self) -> dict[str, Any]:
        return {}


class Served:
    """An endpoint, and a broker that is never reached."""

    def __init__(self, *reasons: str) -> None:
        self.broker = Broker(lambda: None, LOG)
        directory = cast(Directory, _NoAccounts())
        self.hooks = Hooks(HOOKS, directory, self.broker, Health(*reasons), lambda: OBSERVED_AT, LOG)

    async def post(self, body: bytes, headers: dict[str, str]) -> int:
        scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": "/", "query_string": b"", "client": ("127.0.0.1", 1),
            "path_params": {"platform": "x"},
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        return (await self.hooks.post(Request(scope, receive))).status_code


async def test_a_delivery_before_the_accounts_are_known_counts_as_missed() -> None:
    served = Served(NOT_READ)
    assert await served.post(b"{}", x(b"{}", SECRET, OBSERVED_AT)) == 503
    assert served.broker.failed_at > -math.inf


async def test_a_delivery_that_nobody_has_time_for_counts_as_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()

    async def busy(*_: object) -> None:
        await asyncio.sleep(0)
        raise BusyError

    monkeypatch.setattr(served.hooks._pool, "run", busy)
    body = b"{}" + b" " * READ_AT_ONCE
    assert await served.post(body, x(body, SECRET, OBSERVED_AT)) == 503
    assert served.broker.failed_at > -math.inf


async def test_what_is_refused_for_good_does_not() -> None:
    served = Served()
    assert await served.post(b"{}", {}) == 401
    assert await served.post(b"{}", x(b"{}", SECRET, OBSERVED_AT)) == 400
    assert served.broker.failed_at == -math.inf
