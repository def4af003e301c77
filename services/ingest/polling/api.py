"""Asks a platform's interface, and says what is wrong where it does not answer as it should."""

import asyncio
import contextlib
import time
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Protocol
from urllib.parse import urlencode

import httpx

from rapport.kit.http.outgoing import GuardedHttp, NoPublicAddressError, RefusedAddressError, described, moved_to
from services.ingest import metrics
from services.ingest.hooks.delivery import UnreadableError, iso_time_of

LARGEST_ANSWER = 4 * 1_048_576
"""Bytes. A page of 80 notifications with long texts has about one."""
SHORTEST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 3_600.0
"""However long a platform says to wait: its clock may be wrong."""
USUAL_WAIT_SECONDS = 60.0
USER_AGENT = "rapport"
OUTCOMES = ("answered", "refused", "limited", "failed")
"""Of requests, in the metrics."""


class AttentionError(Exception):
    """Somebody has to do something; asking again will not help. The text says what is wrong, for people."""

    def __init__(self, why: str, *, complete: bool = False) -> None:
        """`complete`: the account was read to its end all the same."""
        super().__init__(why)
        self.complete = complete


class RefusedError(Exception):
    """The platform will not do this one thing, and asking again will not help. The text says why, for people."""


class LimitedError(Exception):
    """The platform wants us to wait this many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the platform's limit is reached; it is asked again in {seconds:.0f} s")
        self.seconds = seconds


class AwayError(Exception):
    """The platform did not answer, or not as it should; the text says how. It is asked again."""

    def __init__(self, why: str, *, incident: bool = False) -> None:
        """`incident`: the platform itself says that it fails."""
        super().__init__(why)
        self.incident = incident


class TooMuchError(AwayError):
    """The answer was too large, or took too long. Less may be asked for at once."""


class Turns:
    """How many requests are under way at once, in all and to one host: one that hangs must not hold up the others."""

    def __init__(self, at_once: int = 50, of_a_host: int = 4) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._of_a_host = of_a_host
        self._hosts: weakref.WeakValueDictionary[str, asyncio.Semaphore] = weakref.WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def one(self, host: str) -> AsyncIterator[None]:
        """Waits for a turn."""
        turn = self._hosts.get(host)
        if turn is None:
            turn = self._hosts[host] = asyncio.Semaphore(self._of_a_host)
        async with turn, self._all:
            yield


class Spending(Protocol):
    """What limits requests."""

    def wait(self) -> float:
        """Seconds until one more is allowed."""

    def spend(self) -> None:
        """Notes a request."""


class Budget:
    """At most so many requests in so many seconds. Whoever asks has to wait until one more is allowed."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._spent: list[float] = []

    def left(self) -> int:
        """How many requests are allowed now."""
        since = self._clock() - self._seconds
        self._spent = [at for at in self._spent if at > since]
        return self._most - len(self._spent)

    def wait(self) -> float:
        """Seconds until one more is allowed."""
        return 0.0 if self.left() > 0 else max(0.0, self._spent[0] + self._seconds - self._clock())

    def spend(self) -> None:
        """Notes a request."""
        self._spent.append(self._clock())


class Api:
    """The interface of one platform for one account. Knows its limits, and waits before it reaches them."""

    def __init__(
        self,
        http: GuardedHttp,
        platform: str,
        base: str,
        headers: Mapping[str, str],
        budget: Spending,
        turns: Turns,
        now: Callable[[], datetime],
        refused: Callable[[int, bytes], Exception | None] = lambda _status, _body: None,
        heard: Callable[[Mapping[str, str]], None] = lambda _headers: None,
    ) -> None:
        """`base` is its address without a path; `headers` go with every request.

        `refused` says what a status other than 200 and its body mean, where the status alone does not say it. `heard`
        is told the headers of every answer before that.
        """
        self._http = http
        self._platform = platform
        self._base = base
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            **headers,
        }
        self._budget = budget
        self._turns = turns
        self._now = now
        self._refused = refused
        self._heard = heard

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """What a path says. Raises AttentionError, LimitedError and AwayError, and what `refused` gives."""
        return (await self._call("GET", path, query, {}, None))[1]

    async def get_with_headers(self, path: str, query: Mapping[str, str]) -> tuple[Mapping[str, str], bytes]:
        """The headers of the answer, and what `get` gives. Raises as `get`."""
        return await self._call("GET", path, query, {}, None)

    async def post(
        self, path: str, content: bytes = b"", query: Mapping[str, str] | None = None, *,
        kind: str = "application/x-www-form-urlencoded", method: str = "POST",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:  # fmt: skip
        """What a path answers to `content`. Raises as `get`. After AwayError it may have been carried out."""
        return (await self._call(method, path, query, {"Content-Type": kind, **headers}, content))[1]

    async def _call(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str], content: bytes | None
    ) -> tuple[Mapping[str, str], bytes]:
        url = f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            async with self._turns.one(self._base):
                if (seconds := self._budget.wait()) > 0:
                    raise LimitedError(max(SHORTEST_WAIT_SECONDS, seconds))
                self._budget.spend()
                answer = await self._ask(method, path, url, headers, content)
        except (AttentionError, RefusedError):
            metrics.ASKED.labels(self._platform, "refused").inc()
            raise
        except LimitedError:
            metrics.ASKED.labels(self._platform, "limited").inc()
            raise
        except AwayError:
            metrics.ASKED.labels(self._platform, "failed").inc()
            raise
        metrics.ASKED.labels(self._platform, "answered").inc()
        return answer

    async def _ask(
        self, method: str, path: str, url: str, more: Mapping[str, str], content: bytes | None
    ) -> tuple[Mapping[str, str], bytes]:
        try:
            status, headers, body = await self._http.send(
                method, url, {**self._headers, **more}, content, largest=LARGEST_ANSWER + 1
            )
        except RefusedAddressError as error:
            raise AttentionError(f"its address cannot be used: {error}") from None
        except httpx.ConnectTimeout as error:
            raise AwayError(described(error)) from None
        except (TimeoutError, httpx.TimeoutException) as error:
            raise TooMuchError(described(error)) from None
        except (NoPublicAddressError, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise AwayError(described(error)) from None
        self._heard(headers)
        good = 200 <= status < 300
        if not good and (known := self._refused(status, body)) is not None:
            if method != "GET" and status >= 500 and not isinstance(known, AwayError):
                # Its own failure, whatever it says of it: it may have been carried out all the same.
                raise AwayError(f"it answered {status}", incident=True)
            raise known
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise LimitedError(wait_of(headers, self._now()))
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise AttentionError(_REFUSED[status])
        if status >= 500:
            raise AwayError(f"it answered {status}", incident=True)
        if not good:
            raise AttentionError(f"{path} was answered with {status}{moved_to(headers)}")
        if len(body) > LARGEST_ANSWER:
            raise TooMuchError(f"it answered with more than {LARGEST_ANSWER} bytes")
        return headers, body


_REFUSED: Mapping[int, str] = {
    httpx.codes.UNAUTHORIZED: "the platform does not accept its token any more",
    httpx.codes.FORBIDDEN: "its token lacks a permission, or the account is suspended",
}


_WAITS = ("Retry-After", "X-RateLimit-Reset", "RateLimit-Reset", "x-rate-limit-reset")


def wait_of(headers: Mapping[str, str], now: datetime) -> float:
    """How many seconds a refusal says to wait: for so long, or until when (ISO 8601, Unix time)."""
    given = next((headers[name] for name in _WAITS if headers.get(name)), "")
    seconds = USUAL_WAIT_SECONDS
    try:
        if given.isascii() and given.isdecimal() and len(given) < 12:
            number = float(given)
            seconds = number if number < 1e9 else number - now.timestamp()
        elif given and (at := iso_time_of(given)) is not None:
            seconds = (at - now).total_seconds()
    except UnreadableError:
        pass
    return min(LONGEST_WAIT_SECONDS, max(SHORTEST_WAIT_SECONDS, seconds))


async def pause(seconds: float, sooner: asyncio.Event) -> None:
    """Waits, or until somebody wants it sooner."""
    try:
        async with asyncio.timeout(seconds):
            await sooner.wait()
    except TimeoutError:
        pass
    sooner.clear()
