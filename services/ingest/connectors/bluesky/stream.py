"""Reads one of Bluesky's streams into the log, from where it was left and across every break."""

import asyncio
import contextlib
import math
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus, WebSocketException

from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import Interaction
from rapport.kit import backoff
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.http import websocket
from rapport.kit.http.outgoing import RefusedAddressError
from rapport.kit.log import about
from services.ingest import metrics
from services.ingest.connectors.bluesky import PLATFORM
from services.ingest.connectors.bluesky.facts import Facts, Synced
from services.ingest.connectors.bluesky.frames import Change, Frame, FrameError, StreamError
from services.ingest.connectors.bluesky.names.handles import Handles
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.parts import Parts
from services.ingest.connectors.bluesky.source import NOT_SPOKEN, Source
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.intake import Intake
from services.ingest.connectors.ledger import Ledger
from services.ingest.connectors.older_ledger import OlderLedger
from services.ingest.connectors.seen import UnsavedLedger
from services.ingest.leases.leases import Lease, Leases, LostError

LARGEST_FRAME = 8 * 1_048_576
"""Bytes. A commit may carry 2 MB of blocks, and older servers sent up to 5."""
USER_AGENT = "rapport"
FRAMES_WAITING = 1_000
"""How many frames are read ahead of the broker; then the server has to wait."""
FRAMES_AT_ONCE = 500
BEHIND_SECONDS = 60.0
"""A stream whose newest frame is older than this when it is read has not caught up yet."""
STILL_SECONDS = 10.0
"""Unless nothing has come for this long: then there is nothing more to come, on a quiet server."""
GAP_SECONDS = 60.0
"""On a public server something happens every second."""
FUTURE_CURSOR = "FutureCursor"
"""What a server says of a number that it has not reached."""
STEADY_SECONDS = 30.0
"""A connection that lasted this long was a good one: the next try waits as little as the first."""

Raw = str | bytes


class ReplacedError(Exception):
    """Another server answers than the one that was read before, and its sequence numbers mean something else."""


@dataclass(frozen=True)
class _Mark:
    """A frame of Jetstream version 2 that is in the log, with all before it."""

    address: str
    seq: int
    at: datetime
    position: int


class Stream:
    """Reads one source for those accounts connected to it that this process has the lease of.

    Its failures do not affect other streams.
    """

    def __init__(
        self, source: Source, leases: Leases, ledger: Ledger, older: OlderLedger, handles: Handles, shared: Shared
    ) -> None:
        self._source = source
        self._ledger = ledger
        self._parts = Parts(source, leases, ledger, older)
        self._handles = handles
        self._guard = shared.guard
        self._now = shared.now
        self._log = shared.log
        self._intake = Intake(PLATFORM, source.name, shared.broker, shared.log)
        self._speaks = source
        self._asked_from: int | None = None
        self._mark: _Mark | None = None
        self._expected: _Mark | None = None
        self._watched: tuple[Watched, ...] = ()
        self._synced = Synced()
        self._facts = Facts((), self._synced)
        self._reopen = asyncio.Event()
        self._forgets = False
        self._connected = False
        self._late = math.inf
        self._took_at = 0.0
        self._taking_since: float | None = None
        self._clock = asyncio.get_running_loop().time
        self._task: asyncio.Task[None] | None = None

    def watch(self, watched: Sequence[tuple[Lease, Watched]]) -> None:
        """Reads for exactly these accounts from now on, each under its lease.

        It is opened again where another process has read for an account up to now, and, if the stream keeps the past,
        for a new account, at the time when that was connected.
        """
        self._watched = tuple(one for _, one in watched)
        self._facts = Facts(self._watched, self._synced)
        back = self._parts.watch(watched)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif back:
            self._reopen.set()
        self._say(self._connected)

    def disconnected(self) -> set[str]:
        """The accounts for which nothing is being read, because the stream is not open."""
        return set() if self._connected else {one.account.id for one in self._watched}

    def behind(self) -> set[str]:
        """The accounts whose interactions may not all be in the log."""
        now = self._clock()
        if self._taking_since is not None:
            catching_up = max(self._late, now - self._taking_since) > BEHIND_SECONDS
        else:
            catching_up = self._late > BEHIND_SECONDS and now - self._took_at < STILL_SECONDS
        if self._connected and not self._reopen.is_set() and not catching_up:
            return self._parts.unsure()
        return {one.account.id for one in self._watched}

    def stop(self) -> None:
        """Ends it without waiting."""
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Waits for its end after `stop`."""
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def unsay(self) -> None:
        """Takes back what its metrics say. Another process reads it, or nobody has to: it is not away."""
        for gauge in (metrics.CONNECTED, metrics.FOLLOWED, metrics.STREAM_AT):
            with contextlib.suppress(KeyError):
                gauge.remove(PLATFORM, self._source.address)

    async def _run(self) -> None:
        clock = self._clock
        delays = backoff.delays()
        while True:
            began = clock()
            why = await self._attempt()
            self._say(False)
            if self._reopen.is_set():
                continue
            if clock() - began > STEADY_SECONDS:
                delays = backoff.delays()
            delay = next(delays)
            self._log.warning("bluesky %s: %s; connecting again in %.1f s", self._source.name, why, delay)
            await asyncio.sleep(delay)

    async def _attempt(self) -> str:
        """Reads until the stream breaks, and returns the reason."""
        try:
            await self._read()
        except StreamError as error:
            if error.name == FUTURE_CURSOR:
                # There is another server behind the address, and our position means nothing to it.
                self._forgets = True
            return f"the server ended the stream ({error})"
        except RefusedAddressError as error:
            return str(error)
        except ReplacedError:
            return "another server answers than before"
        except LostError:
            return "another process reads some of its accounts"
        except (OSError, TimeoutError, WebSocketException, NotAcknowledgedError) as error:
            return f"{type(error).__name__}: {error}"
        except Exception as error:  # a bug must not end this stream, let alone the others
            self._log.exception("bluesky %s", self._source.name)
            return f"an internal error: {error}"
        return "the stream ended"

    async def _read(self) -> None:
        await self._parts.certain()  # before that, more of them may come
        self._reopen.clear()
        if self._forgets:
            await self._parts.forget()
            self._forgets = False
        position = await self._parts.open_at(self._now())
        if self._mark is not None and (position is None or position < self._mark.position):
            self._mark = None  # it has to begin earlier, for somebody who was not read for before
        async with self._connected_to(position) as connection:
            self._log.info(
                "bluesky %s: connected (%s), reading from %s", self._source.name, self._speaks.wire, position or "now"
            )
            # What happened since the last read is on its way. Until its first frame, the stream counts as behind.
            self._late, self._took_at = math.inf, self._clock()
            self._asked_from = position
            self._say(True)
            frames: asyncio.Queue[Raw] = asyncio.Queue(FRAMES_WAITING)
            tasks = [
                asyncio.create_task(_receive(connection, frames)),
                asyncio.create_task(self._take_all(frames)),
                asyncio.create_task(self._reopen.wait()),
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()

    @contextlib.asynccontextmanager
    async def _connected_to(self, position: int | None) -> AsyncIterator[ClientConnection]:
        """A connection in the newest protocol that the server speaks. Asked each time, because servers are replaced.

        A position is a time in both versions of Jetstream, and means the same to all servers. After a break, version 2
        is asked for the last frame by its number there; if that is another frame now, the time is what counts.
        """
        *others, last = self._source.versions()
        for self._speaks in (*others, last):
            mark = self._mark
            self._expected = mark if mark is not None and mark.address == self._speaks.address else None
            try:
                async with websocket.connected(
                    self._guard,
                    self._speaks.url(position, self._expected.seq if self._expected else None),
                    max_size=LARGEST_FRAME,
                    subprotocols=self._speaks.subprotocols,
                    user_agent_header=USER_AGENT,
                ) as connection:
                    yield connection
                return
            except InvalidStatus as error:
                not_spoken = error.response.status_code in NOT_SPOKEN
                if not_spoken and self._expected is not None:
                    self._mark = None  # it has no such number any more
                    raise
                if self._speaks is last or not not_spoken:
                    raise

    async def _take_all(self, frames: asyncio.Queue[Raw]) -> None:
        while True:
            batch = [await frames.get()]
            while len(batch) < FRAMES_AT_ONCE and not frames.empty():
                batch.append(frames.get_nowait())
            self._taking_since = self._clock()
            try:
                await self._take(batch)
            finally:
                self._taking_since = None

    async def _take(self, batch: Sequence[Raw]) -> None:
        """Puts frames into the log in order, and only then saves the position and the ledger.

        What concerns an account whose lease has ended meanwhile is left to whoever has it now.
        """
        opened_for = self._parts.read()
        unsaved = UnsavedLedger(self._ledger)
        happened: list[Interaction] = []
        fates: list[FollowerAway] = []
        position: int | None = None
        latest: datetime | None = None
        mark: _Mark | None = None
        renamed: set[str] = set()
        for raw in batch:
            try:
                frame = self._speaks.read(raw)
            except StreamError:
                raise
            except Exception as error:  # one frame must not stop those behind it, whatever is in it
                metrics.REJECTED.labels(PLATFORM, "frame").inc()
                known = isinstance(error, FrameError)
                self._log.error("bluesky %s: a frame is skipped: %.300s", self._source.name, error, exc_info=not known)
                continue
            if frame.notice:
                self._log.warning("bluesky %s says %s", self._source.name, frame.notice)
                if self._expected is not None and frame.notice.startswith(f"{FUTURE_CURSOR}:"):
                    raise self._replaced()
            if frame.position is not None:
                position = frame.position
            if frame.at is not None:
                self._compare(frame)
                latest = frame.at
                if frame.seq is not None and frame.position is not None:
                    mark = _Mark(self._speaks.address, frame.seq, frame.at, frame.position)
                metrics.STREAM_AT.labels(PLATFORM, self._source.address).set(frame.at.timestamp())
            if frame.synced is not None and frame.at is not None:
                self._facts.synced(frame.synced, frame.at)
            for change in frame.changes:
                happened.extend(self._read_change(change, unsaved))
            if frame.renamed is not None:
                renamed.add(frame.renamed)
            if frame.fate is not None:
                fates.extend(self._facts.told(frame.fate, unsaved))
        if renamed:
            self._handles.renamed(renamed, self._now())
        named = await self._named(happened)
        parts = await self._parts.still(opened_for)
        accounts = {account for part in parts for account in part.accounts()}
        brands = {one.brand for part in parts for one in part.watched}
        interactions = [one for one in named if one.account in accounts]
        await self._intake.append(interactions, [one for one in fates if one.brand in brands])
        clock = self._clock()
        if latest is not None:
            self._late, self._took_at = (self._now() - latest).total_seconds(), clock
        await self._parts.keep(parts, position, unsaved, clock, {one.account for one in interactions})
        self._mark = mark or self._mark  # last: what the ledger did not take has to come again

    def _compare(self, first: Frame) -> None:
        """Looks whether the first frame is where reading was to begin. Version 1 of Jetstream does not say if not.

        Raises ReplacedError where it is not the one that was asked for by its number.
        """
        expected, self._expected = self._expected, None
        if expected is not None and (first.seq, first.at) != (expected.seq, expected.at):
            raise self._replaced()
        asked_from, self._asked_from = self._asked_from, None
        if asked_from is None or first.at is None or not self._source.timed:
            return
        late = first.at.timestamp() - asked_from / 1_000_000
        if late > GAP_SECONDS:
            self._log.warning(
                "bluesky %s: its first frame is of %s, %.0f s after what it was asked for: either nothing happened in"
                " between, or the server does not have it any more",
                self._source.name, first.at.isoformat(), late,
            )  # fmt: skip

    def _replaced(self) -> ReplacedError:
        self._mark = self._expected = None
        return ReplacedError()

    def _read_change(self, change: Change, unsaved: UnsavedLedger) -> list[Interaction]:
        """The interactions of a change; none if it cannot be read. A stranger wrote it, and others wait behind it."""
        try:
            return self._facts.of(change, unsaved, self._now())
        except sqlite3.Error:
            raise  # the ledger's file, not the change
        except Exception:
            metrics.REJECTED.labels(PLATFORM, "change").inc()
            its = about(interaction=change.uri)
            self._log.exception("bluesky %s: %.300s is skipped", self._source.name, change.uri, extra=its)
            return []

    async def _named(self, interactions: Sequence[Interaction]) -> list[Interaction]:
        """Adds the handles of those who did it, where they are known."""
        nameless = {one.actor.id for one in interactions if one.actor.handle is None}
        handles = await self._handles.of(nameless, self._now()) if nameless else {}
        return [
            replace(one, actor=replace(one.actor, handle=handles[one.actor.id])) if one.actor.id in handles else one
            for one in interactions
        ]

    def _say(self, connected: bool) -> None:
        self._connected = connected
        metrics.CONNECTED.labels(PLATFORM, self._source.address).set(connected)
        metrics.FOLLOWED.labels(PLATFORM, self._source.address).set(len(self._watched) if connected else 0)


async def _receive(connection: ClientConnection, frames: asyncio.Queue[Raw]) -> None:
    async for raw in connection:
        await frames.put(raw)
