"""Sends what is in the outbox: claim, send, mark. Several processes can do this side by side."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec
from kafka.errors import KafkaError
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from rapport.contracts.events import Channel, Notice
from rapport.kit import backoff, tracing
from services.notifier import claims, metrics, outbox, steps
from services.notifier.channels import DeliveryError
from services.notifier.directory import Directory
from services.notifier.slots import Slot, Slots

POLL_SECONDS = 0.5
"""How often to look for rows that another process inserted, or that are due for another try."""

RENEWALS_PER_LEASE = 3
"""How often a lease is renewed while its delivery is being sent, so that only a dead or stalled owner loses it."""

LAST_MARK_SECONDS = 10.0
"""How long a process that is ending keeps trying to mark what has arrived."""

log = logging.getLogger("rapport.notifier.sender")

Send = Callable[[str, Notice, Channel], Awaitable[None]]
"""Sends an alert or a reminder to a channel under a delivery's stable id. Raises DeliveryError."""


class _LaterError(Exception):
    """Only a later version can send it. The message says why."""


class Sender:
    """The loop of one type of channel, so that slow mail cannot hold up webhooks."""

    def __init__(
        self,
        channel_type: str,
        send: Send,
        rows: AsyncCollection[outbox.Row],
        directory: Directory,
        *,
        lease: timedelta,
        slots: Slots,
    ) -> None:
        """`lease` is how long a claim lasts without renewal, `slots` how many sends may run at a time."""
        self._type = channel_type
        for status in ("delivered", "retried", "failed", "lost"):
            metrics.ATTEMPTS.labels(channel_type, status)  # there before it first counts, or its first would not show
        self._send = send
        self._rows = rows
        self._directory = directory
        self._lease = lease
        self._slots = slots
        self._served: set[str] = set()
        """The brands that had a turn. Once all had one, it begins again."""
        self._running: set[asyncio.Task[bool]] = set()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """Why nothing is sent; None while all is well."""
        return self._trouble

    def wake(self) -> None:
        """Says that there may be something to claim. To be called in the loop's thread."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until `stop` is set, then waits for what is on its way."""
        delays = backoff.delays()
        self._stop = stop
        while not stop.is_set():
            claimed_at = time.monotonic()  # before it is asked for: MongoDB may take long to answer
            try:
                claim = await self._claim()
                delays, self._trouble = backoff.delays(), None
            except PyMongoError as error:
                self._trouble = f"mongodb gives no {self._type} to send"
                delay = next(delays)
                log.warning("MongoDB: %s: %s; trying again in %.1f s", type(error).__name__, error, delay)
                await self._pause(delay)
                continue
            if claim is None:
                await self._pause(POLL_SECONDS)
            else:
                self._start(claim, claimed_at)
        if self._running:
            await asyncio.wait(self._running)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        finally:
            self._wake.clear()

    async def _claim(self) -> claims.Claim | None:
        barred = self._slots.barred(time.monotonic())
        if barred is None:
            return None
        now = datetime.now(UTC)
        if barred.brands_take_turns and self._served:
            others = barred._replace(brands=barred.brands | self._served)
            claim = await claims.claim(self._rows, self._type, now, self._lease, others)
            if claim is not None:
                return claim
            self._served.clear()
        return await claims.claim(self._rows, self._type, now, self._lease, barred)

    def _start(self, claim: claims.Claim, claimed_at: float) -> None:
        self._served.add(claim.brand)
        slot = self._slots.take(claim.lane, time.monotonic())
        task = asyncio.create_task(self._deliver(claim, claimed_at), name=claim.id)
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, claim, slot))

    def _ended(self, task: asyncio.Task[bool], claim: claims.Claim, slot: Slot) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        self._slots.free(slot, time.monotonic(), tried=not task.cancelled() and error is None and task.result())
        self._wake.set()
        if error is not None:
            # The lease expires and the row is tried again; an error here would stop all other deliveries.
            log.error("delivery %s: %s: %s", claim.id, type(error).__name__, error, exc_info=error, extra=claim.its)

    async def _deliver(self, claim: claims.Claim, claimed_at: float) -> bool:
        """Whether its channel was sent something, with whatever success. `claimed_at` is of the monotonic clock."""
        turn = await steps.turn(self._rows, claim, datetime.now(UTC))
        if turn is not steps.Turn.SEND:
            log.info("delivery %s, of the step %s: %s", claim.id, claim.step, turn.value, extra=claim.its)
            return False
        channel: Channel | None = None
        tried = False
        span = tracing.begin(
            "deliver", tracing.named(claim.trace), "client", channel=self._type, step=claim.step,
            attempt=claim.attempts + 1,
        )  # fmt: skip
        try:
            async with self._held(claim):
                channel = self._known(claim) or await self._looked_up(claim)
                if why := self._directory.cannot_tell(claim.brand, claim.channel):
                    raise _LaterError(why)
                if channel is None:
                    raise DeliveryError("the channel was removed", for_good=True)
                notice = _notice_in(claim)
                if not await self._is_ours(claim, claimed_at):
                    _end(span, "the lease was lost")
                    return False
                tried = True
                await self._send(claim.id, notice, channel)
        except _LaterError as error:
            _end(span, str(error))
            await self._wait(claim, str(error))
            return False
        except PyMongoError:
            _end(span, "mongodb is away")
            raise
        except DeliveryError as error:
            _end(span, str(error))
            async with self._held(claim):
                confirmed = await self._confirmed(error, claim, channel)
            await self._note_failure(claim, confirmed)
        except Exception as error:  # counted as an attempt, so that a delivery that we cannot handle ends at some point
            log.error("delivery %s: %s: %s", claim.id, type(error).__name__, error, exc_info=error, extra=claim.its)
            _end(span, "an internal error")
            await self._note_failure(claim, DeliveryError("an internal error; see the notifier's log"))
        else:
            _end(span)
            now = datetime.now(UTC)
            ours = await self._mark_delivered(claim, now)
            metrics.LATENESS.labels(self._type).observe(max(0.0, (now - claim.told_from).total_seconds()))
            self._count("delivered", ours)
            log.info("delivery %s arrived, attempt %d", claim.id, claim.attempts + 1, extra=claim.its)
        return tried

    async def _wait(self, claim: claims.Claim, why: str) -> None:
        log.warning("delivery %s %s", claim.id, why, extra=claim.its)
        await claims.waits(self._rows, claim, why, datetime.now(UTC) + claims.WAITS_FOR)

    def _known(self, claim: claims.Claim) -> Channel | None:
        channel = self._directory.channel(claim.brand, claim.channel)
        return channel if channel is not None and outbox.type_of(channel) == self._type else None

    async def _looked_up(self, claim: claims.Claim) -> Channel | None:
        """The channel, after reading everything in the log. Raises DeliveryError if Kafka does not answer."""
        try:
            await asyncio.to_thread(self._directory.catch_up)
        except KafkaError as error:
            log.warning(
                "delivery %s waits until the brands can be read: %s: %s",
                claim.id,
                type(error).__name__,
                error,
                extra=claim.its,
            )
            raise DeliveryError("the channel could not be looked up") from error
        return self._known(claim)

    async def _confirmed(self, error: DeliveryError, claim: claims.Claim, used: Channel | None) -> DeliveryError:
        """The error, which is for good only if the channel is still the one that was `used`."""
        if not error.for_good or used is None:
            return error
        try:
            changed = await self._looked_up(claim) != used
        except DeliveryError as unknown:
            return unknown
        return DeliveryError(f"{error}; the channel has been changed since") if changed else error

    @contextlib.asynccontextmanager
    async def _held(self, claim: claims.Claim) -> AsyncIterator[None]:
        """Renews the lease for as long as it takes."""
        renewing = asyncio.create_task(self._renew(claim), name=f"lease of {claim.id}")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _is_ours(self, claim: claims.Claim, claimed_at: float) -> bool:
        """Whether nobody else can have the claim by now, nor has it until the sending has begun.

        Whatever came before may have taken longer than the lease. Raises PyMongoError.
        """
        held_since = claimed_at
        # Also where MongoDB takes as long to answer.
        while (now := time.monotonic()) - held_since >= self._lease.total_seconds() / RENEWALS_PER_LEASE:
            held_since = now
            if not await claims.renewed(self._rows, claim, datetime.now(UTC) + self._lease):
                log.warning("delivery %s: the lease was lost before it was sent", claim.id, extra=claim.its)
                self._count("lost", ours=True)
                return False
        return True

    async def _renew(self, claim: claims.Claim) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / RENEWALS_PER_LEASE)
            try:
                if not await claims.renewed(self._rows, claim, datetime.now(UTC) + self._lease):
                    log.warning("delivery %s: the lease was lost while it was being sent", claim.id, extra=claim.its)
                    return
            except PyMongoError as error:
                log.warning(
                    "delivery %s: the lease was not renewed: %s: %s",
                    claim.id,
                    type(error).__name__,
                    error,
                    extra=claim.its,
                )

    async def _mark_delivered(self, claim: claims.Claim, now: datetime) -> bool:
        """Keeps trying however long MongoDB is away: a row without the mark would be sent again."""
        give_up_at: float | None = None
        for delay in backoff.delays():
            try:
                return await claims.delivered(self._rows, claim, now)
            except PyMongoError as error:
                log.warning(
                    "delivery %s arrived but was not marked: %s: %s",
                    claim.id,
                    type(error).__name__,
                    error,
                    extra=claim.its,
                )
                if self._stop.is_set():
                    give_up_at = give_up_at or time.monotonic() + LAST_MARK_SECONDS
                    if time.monotonic() >= give_up_at:
                        raise
            await asyncio.sleep(delay)
        raise AssertionError("delays never end")

    async def _note_failure(self, claim: claims.Claim, error: DeliveryError) -> None:
        now = datetime.now(UTC)
        again = (
            None
            if error.for_good
            else claims.next_attempt(claim.attempts + 1, claim.tried_since or now, now, error.retry_after)
        )
        if again is None:
            self._count("failed", await claims.failed(self._rows, claim, str(error)))
            log.error(
                "delivery %s has failed after %d attempts: %s", claim.id, claim.attempts + 1, error, extra=claim.its
            )
        else:
            self._count("retried", await claims.postponed(self._rows, claim, str(error), now, again))
            wait = (again - now).total_seconds()
            log.warning(
                "delivery %s, attempt %d: %s; next try in %.0f s",
                claim.id,
                claim.attempts + 1,
                error,
                wait,
                extra=claim.its,
            )

    def _count(self, status: str, ours: bool) -> None:
        metrics.ATTEMPTS.labels(self._type, status if ours else "lost").inc()


def _end(span: tracing.Span | None, error: str | None = None) -> None:
    if span is not None:
        span.end(error)


def _notice_in(claim: claims.Claim) -> Notice:
    """What is to be told. Raises _LaterError where only a later version can read it."""
    try:
        return outbox.kept(outbox.notice_of(claim.payload), datetime.now(UTC))
    except msgspec.ValidationError as error:
        raise _LaterError(f"waits for a later version of the notifier: {error}") from error
