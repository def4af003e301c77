"""Threads for work that takes long, so that neither the event loop nor another tenant waits for it."""

import asyncio
import concurrent.futures
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

THREADS = 2
"""Threads per purpose. Python runs one at a time, so more would only slow each down."""
AT_ONCE_OF_ONE = 1
WAITING_OF_ONE = 8
"""How much of one tenant may wait. Nobody sends more by hand."""


class BusyError(Exception):
    """Too much of this tenant is waiting already."""


class Pool:
    """Runs functions for one purpose, each tenant in turn. Can be used from several event loops."""

    def __init__(self, purpose: str, threads: int = THREADS) -> None:
        """Threads are started when there is work."""
        self._free = threads
        self._executor = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix=purpose)
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self._running: Counter[str] = Counter()

    async def run(self, tenant: str, function: Callable[P, R], *args: P.args, **more: P.kwargs) -> R:
        """Returns or raises what the function does. Raises BusyError at once if too much of this tenant is waiting."""
        result: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def work() -> None:
            try:
                if result.set_running_or_notify_cancel():
                    try:
                        result.set_result(function(*args, **more))
                    except BaseException as error:  # it belongs to whoever waits
                        result.set_exception(error)
            finally:
                with self._lock:
                    self._free += 1
                    self._running[tenant] -= 1
                    if not self._running[tenant]:
                        del self._running[tenant]
                    self._start()

        with self._lock:
            mine = self._waiting.setdefault(tenant, deque())
            if len(mine) >= WAITING_OF_ONE:
                raise BusyError
            mine.append(work)
            self._start()
        found: R = await asyncio.wrap_future(result)
        return found

    def _start(self) -> None:
        """Gives the free threads to the next tenants. To be called with the lock held."""
        for tenant in list(self._waiting):
            if not self._free:
                return
            if self._running[tenant] >= AT_ONCE_OF_ONE:
                continue
            mine = self._waiting.pop(tenant)
            self._free -= 1
            self._running[tenant] += 1
            self._executor.submit(mine.popleft())
            if mine:
                self._waiting[tenant] = mine  # behind everybody else
