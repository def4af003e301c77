"""A platform's server in a thread of its own, on the loopback interface."""

import asyncio
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self

import uvicorn

READY_SECONDS = 60.0
_POLL_SECONDS = 0.01


class LocalServer:
    """Serves from `with` to its end."""

    def __init__(self, app: Any, port: int = 0, **more: Any) -> None:
        """`more` is what uvicorn takes."""
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.address = f"http://{self.host}"
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", **more))
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        end = time.monotonic() + READY_SECONDS
        while not self._server.started:
            if time.monotonic() > end:
                raise TimeoutError(f"{type(self).__name__} did not start within {READY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._server.serve([self._socket])
