"""Follows one account: asks for what is new, opens its stream where there is one, and says how it stands."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from typing import Protocol, runtime_checkable

from rapport.kit import backoff
from rapport.kit.broker.producer import NotAcknowledgedError
from services.ingest import metrics
from services.ingest.leases.leases import LostError
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, pause
from services.ingest.polling.reading import Reading
from services.ingest.polling.standing import STARTING, Trouble, stands, trouble_of

AGAIN_SECONDS = 2.0
LONGEST_BACKOFF_SECONDS = 300.0
ATTENTION_SECONDS = 300.0
"""How often an account that needs attention is tried again: somebody may have repaired it at the platform."""
OWN_SECONDS = 10.0
LATE_SECONDS = 120.0
"""How much later than planned it may be read to its end before it counts as behind."""
UNALLOWED_SECONDS = 0.25
STEADY_SECONDS = 30.0
"""A stream that was open for so long was a good one: the next try waits as little as the first."""
_TROUBLES = (AttentionError, LimitedError, AwayError, NotAcknowledgedError)


class Reader(Protocol):
    """What a platform's package does for one account."""

    @property
    def every_seconds(self) -> float:
        """How often it is asked; where the platform has a stream, while none is open."""

    async def itself(self) -> str:
        """The platform's id of the account, as interactions name it. Raises AttentionError, LimitedError, AwayError."""

    async def read(self) -> None:
        """Reads all that is new, to the end. Raises as `itself`, and LostError and NotAcknowledgedError."""


@runtime_checkable
class Streaming(Protocol):
    """What a Reader does besides where its platform has a stream."""

    @property
    def repair_seconds(self) -> float:
        """How often it is asked while a stream is open."""

    def stream(self) -> AsyncIterator[None]:
        """Takes what a stream brings, until it breaks; yields once it is open. Raises as `read`."""


@runtime_checkable
class PostsApart(Protocol):
    """What a Reader has besides where the account's own posts are read less often than the rest."""

    @property
    def posts_checked_at(self) -> datetime:
        """When they were last read to the end; while they never were, when the account was connected."""


class Follower:
    """One account. For one event loop."""

    def __init__(
        self,
        brand: str,
        reading: Reading,
        reader: Reader,
        ready: Callable[[str], Awaitable[None]],
        log: logging.Logger,
    ) -> None:
        """`ready` is told the account's own id, and returns once those of the brand's other accounts are known."""
        self._brand = brand
        self._reading = reading
        self._reader = reader
        self._streaming = reader if isinstance(reader, Streaming) else None
        self._apart = reader if isinstance(reader, PostsApart) else None
        self._ready = ready
        self._log = log
        self._sooner = asyncio.Event()
        self._open = False
        self._known = False
        self._checked_at: datetime | None = None
        self._trouble: Trouble | None = Trouble("behind", STARTING)
        self._complete = False
        """Whether the last attempt read it to its end, whatever else is wrong."""
        self._late_at = 0.0
        """When it will have been too long since it was read to its end, by the monotonic clock."""
        self._tasks = [asyncio.create_task(self._ask())]
        if self._streaming is not None:
            self._tasks.append(asyncio.create_task(self._listen(self._streaming)))

    @property
    def state(self) -> str:
        """How it stands."""
        if self._trouble is not None:
            return self._trouble.state
        return "behind" if self.behind() else "live"

    def behind(self) -> bool:
        """Whether interactions may be missing."""
        late = time.monotonic() > self._late_at or self._tasks[0].done()
        incomplete = self._trouble is not None and not self._complete
        return incomplete or late or not self._reading.allowed()

    def disconnected(self) -> bool:
        """Whether nothing is being read."""
        return self._trouble is not None and self._trouble.why != STARTING and not self._complete

    def stop(self) -> None:
        """Ends without waiting."""
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Waits for its end after `stop`."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self) -> None:
        delays = _delays()
        while not self._reading.lost():
            if not self._reading.allowed():
                await asyncio.sleep(UNALLOWED_SECONDS)
                continue
            delay, error = 0.0, None
            at = self._reading.now()
            try:
                if not self._known:
                    await self._ready(await self._reader.itself())
                    self._known = True
                    at = self._reading.now()
                await self._reader.read()
            except LostError:
                continue
            except Exception as found:  # one account's trouble, or our own mistake, must not end the reading of it
                error = found
                if not isinstance(found, _TROUBLES):
                    self._log.exception("account %s", self._reading.account.id)
            complete = error is None or (isinstance(error, AttentionError) and error.complete)
            if complete:
                self._checked_at = at
            if error is None:
                delays = _delays()
                open_ = self._streaming if self._open else None
                delay = self._reader.every_seconds if open_ is None else open_.repair_seconds
                delay *= random.uniform(0.9, 1.1)  # noqa: S311 - so that accounts do not ask at the same moment
                self._late_at = time.monotonic() + delay + LATE_SECONDS
            elif isinstance(error, LimitedError):
                delay = error.seconds * random.uniform(1.0, 1.1)  # noqa: S311 - as above
            elif isinstance(error, AttentionError):
                delay = ATTENTION_SECONDS
                if complete:  # nothing is missing, so there is no reason to ask more often than usual
                    delay = max(delay, self._reader.every_seconds)
                    self._late_at = time.monotonic() + delay + LATE_SECONDS
            elif isinstance(error, AwayError):
                delay = next(delays)
            else:
                delay = min(OWN_SECONDS, next(delays))  # the trouble is ours, and no reason to leave the platform alone
            trouble = None if error is None else trouble_of(error)
            if complete or trouble is not None:
                self._complete = complete
            try:
                await self._say(trouble, error)
            except Exception:  # it is read whether or not that can be written
                self._log.exception("the state of account %s was not written", self._reading.account.id)
            await pause(delay, self._sooner)

    async def _say(self, trouble: Trouble | None, error: Exception | None) -> None:
        account = self._reading.account
        metrics.READINGS.labels(account.platform, "complete" if error is None else type(error).__name__).inc()
        if isinstance(error, LimitedError) and trouble is None:
            return  # a short pause: it stands as it did
        if trouble != self._trouble:
            level = logging.INFO if trouble is None else logging.WARNING
            self._log.log(level, "account %s is %s%s", account.id, *_told(trouble))
        self._trouble = trouble
        try:
            before = self._reading.state()
            now = stands(
                before, self._reading.now(), trouble,
                brand=self._brand, account=account.id, platform=account.platform, claim=self._reading.claim,
                checked_at=self._checked_at, latest_at=self._reading.latest_at,
                posts_checked_at=self._apart.posts_checked_at if self._apart is not None else None,
            )  # fmt: skip
            await self._reading.stands(now)
        except (LostError, NotAcknowledgedError) as failure:
            self._log.debug("the state of %s was not written: %r", account.id, failure)

    async def _listen(self, reader: Streaming) -> None:
        delays = _delays()
        while not self._reading.lost():
            if not self._known or not self._reading.allowed():
                await asyncio.sleep(UNALLOWED_SECONDS)
                continue
            began = time.monotonic()
            why = await self._attempt(reader)
            if self._open:
                self._open = False
                self._reading.streaming(None)
                self._sooner.set()
            if time.monotonic() - began > STEADY_SECONDS:
                delays = _delays()
            delay = next(delays)
            self._log.info("account %s: %s; its stream is opened again in %.0f s", self._reading.account.id, why, delay)
            await asyncio.sleep(delay)

    async def _attempt(self, reader: Streaming) -> str:
        try:
            async with contextlib.aclosing(reader.stream()) as stream:  # type: ignore[type-var]
                async for _ in stream:
                    if not self._open:
                        self._open = True
                        self._reading.streaming(self._reading.now())
                        self._sooner.set()  # what happened before it was open is asked for
        except LostError:
            return "it is read by another process"
        except _TROUBLES as error:
            return str(error)
        except Exception as error:  # our own mistake; the account is still asked
            self._log.exception("stream of account %s", self._reading.account.id)
            return f"an internal error: {error}"
        return "its stream ended"


def _delays() -> Iterator[float]:
    return backoff.delays(AGAIN_SECONDS, LONGEST_BACKOFF_SECONDS)


def _told(trouble: Trouble | None) -> tuple[str, str]:
    return ("live", "") if trouble is None else (trouble.state, f": {trouble.why}")
