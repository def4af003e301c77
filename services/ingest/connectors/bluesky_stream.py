"""One of Bluesky's streams, read from where it was left, through every break, into the log."""

import asyncio
import contextlib
import logging
import math
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from rapport.contracts.events import Interaction
from rapport.domain.fitting import fit
from rapport.kit import backoff, websocket
from rapport.kit.outgoing import Guard, RefusedAddressError
from services.ingest import metrics
from services.ingest.broker import LARGEST_VALUE, Broker, NotAcknowledgedError, Record, control_record, record_of
from services.ingest.connectors.bluesky_facts import PLATFORM, Seen, Watched, away, deleted, written
from services.ingest.connectors.bluesky_frames import Change, Fate, FrameError, StreamError
from services.ingest.connectors.bluesky_handles import Handles
from services.ingest.connectors.bluesky_records import read
from services.ingest.connectors.bluesky_source import Source, start_of
from services.ingest.connectors.ledger import Ledger

LARGEST_FRAME = 8 * 1_048_576
"""Bytes. A commit may carry 2 MB of blocks, and older servers sent up to 5."""
USER_AGENT = "rapport"
FRAMES_WAITING = 1_000
"""Frames read ahead of the broker; then the server is made to wait."""
FRAMES_AT_ONCE = 500
POSITION_SECONDS = 1.0
"""How often the position of a stream is kept that brings nothing for any account."""
BEHIND_SECONDS = 60.0
"""A stream whose newest frame is older than this when it is read has not caught up yet."""
STILL_SECONDS = 10.0
"""Unless nothing came for so long, since it was opened or since then: then there is no more, on a quiet server."""
STEADY_SECONDS = 30.0
"""A connection that lasted this long was a good one: the next try waits as little as the first."""

Raw = str | bytes
_CHECK = msgspec.json.Decoder(Interaction)


class Stream:
    """Reads one source for all accounts that are connected to it. Whatever happens to it, other streams go on."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        handles: Handles,
        broker: Broker,
        now: Callable[[], datetime],
        log: logging.Logger,
        guard: Guard,
    ) -> None:
        self._source = source
        self._guard = guard
        self._ledger = ledger
        self._handles = handles
        self._broker = broker
        self._now = now
        self._log = log
        self._watched: tuple[Watched, ...] = ()
        self._by_did: dict[str, tuple[Watched, ...]] = {}
        self._reopen = asyncio.Event()
        self._connected = False
        self._late = math.inf
        self._took_at = 0.0
        self._taking_since: float | None = None
        self._kept_at = 0.0
        self._clock = asyncio.get_running_loop().time
        self._task: asyncio.Task[None] | None = None

    def watch(self, watched: Sequence[Watched]) -> None:
        """Reads for exactly these accounts from now on. For a new one, a stream that keeps the past is opened again at
        the time that the account was connected.
        """
        self._watched = tuple(watched)
        by_did: dict[str, tuple[Watched, ...]] = {}
        for one in watched:
            by_did[one.did] = (*by_did.get(one.did, ()), one)
        self._by_did = by_did
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif self._source.timed and self._new():
            self._reopen.set()
        self._say(self._connected)

    def disconnected(self) -> set[str]:
        """The accounts that nothing is read of, because the stream is not open."""
        return set() if self._connected else {one.account.id for one in self._watched}

    def behind(self) -> set[str]:
        """The accounts of which not everything may be in the log."""
        now = self._clock()
        if self._taking_since is not None:
            catching_up = max(self._late, now - self._taking_since) > BEHIND_SECONDS
        else:
            catching_up = self._late > BEHIND_SECONDS and now - self._took_at < STILL_SECONDS
        if self._connected and not self._reopen.is_set() and not catching_up:
            return set()
        return {one.account.id for one in self._watched}

    def stop(self) -> None:
        """Ends it, without waiting."""
        if self._task is not None:
            self._task.cancel()

    async def ended(self) -> None:
        """Waits for the end after `stop`."""
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _new(self) -> list[Watched]:
        joined = self._ledger.joined(self._source.address)
        return [one for one in self._watched if one.account.id not in joined]

    async def _run(self) -> None:
        clock = self._clock
        delays = backoff.delays()
        try:
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
        finally:
            metrics.CONNECTED.labels(PLATFORM, self._source.name).set(0)

    async def _attempt(self) -> str:
        """Reads until the stream breaks, and gives the reason."""
        try:
            await self._read()
        except StreamError as error:
            if error.name == "FutureCursor":
                # Another server behind the address. What it had before now cannot be told from what we have read.
                self._ledger.forget(self._source.address)
            return f"the server ended the stream ({error})"
        except RefusedAddressError as error:
            return str(error)
        except (OSError, TimeoutError, WebSocketException, NotAcknowledgedError) as error:
            return f"{type(error).__name__}: {error}"
        except Exception as error:  # a fault of ours in one stream must not end it, let alone the others
            self._log.exception("bluesky %s", self._source.name)
            return f"a fault: {error}"
        return "the stream ended"

    async def _read(self) -> None:
        self._reopen.clear()
        position = self._open_at()
        async with websocket.connected(
            self._guard,
            self._source.url(position),
            max_size=LARGEST_FRAME,
            subprotocols=self._source.subprotocols,
            user_agent_header=USER_AGENT,
        ) as connection:
            self._log.info("bluesky %s: connected, reading from %s", self._source.name, position or "now")
            # What came since it was read last is on its way: nothing is known to be there until the first of it is.
            self._late, self._took_at = math.inf, self._clock()
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

    def _open_at(self) -> int | None:
        """Where to read from, noted together with whom it is read for."""
        position = self._ledger.position(self._source.address)
        if self._source.timed:
            for one in self._new():
                position = start_of(position, one.account.connected_at, self._now())
        self._ledger.join(self._source.address, [one.account.id for one in self._watched], position)
        return position

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
        """Frames in order into the log; only then are position and ledger moved."""
        page = _Page(self._ledger)
        happened: list[Interaction] = []
        fates: list[Record] = []
        position: int | None = None
        latest: datetime | None = None
        for raw in batch:
            try:
                frame = self._source.read(raw)
            except StreamError:
                raise
            except Exception as error:  # one frame, whatever is in it, must not stop what comes behind it
                metrics.REJECTED.labels(PLATFORM, "frame").inc()
                known = isinstance(error, FrameError)
                self._log.error("bluesky %s: a frame is skipped: %.300s", self._source.name, error, exc_info=not known)
                continue
            if frame.notice:
                self._log.warning("bluesky %s says %s", self._source.name, frame.notice)
            if frame.position is not None:
                position = frame.position
            if frame.at is not None:
                latest = frame.at
                metrics.STREAM_AT.labels(PLATFORM, self._source.name).set(frame.at.timestamp())
            for change in frame.changes:
                happened.extend(self._read_change(change, page))
            if frame.fate is not None:
                fates.extend(self._told(frame.fate, page))
        found = self._checked(await self._named(happened))
        await self._broker.append([*(record for _, record in found), *fates])
        for interaction, _ in found:
            metrics.ACCEPTED.labels(PLATFORM, interaction.kind).inc()
            lag = (interaction.observed_at - interaction.occurred_at).total_seconds()
            metrics.LAG.labels(PLATFORM).observe(lag)
        clock = self._clock()
        if latest is not None:
            self._late, self._took_at = (self._now() - latest).total_seconds(), clock
        if found or fates or page.gone or clock - self._kept_at >= POSITION_SECONDS:
            self._ledger.keep(self._source.address, position, page.noted(), self._now(), page.gone)
            self._kept_at = clock

    def _told(self, fate: Fate, page: "_Page") -> list[Record]:
        """What became of an account, for each brand that its person ever had to do with."""
        known = page.known_to(fate.did)
        brands = {one.brand for one in self._watched if one.account.id in known and fate.did not in one.own}
        try:
            return [control_record(away(brand, fate)) for brand in sorted(brands)]
        except Exception:
            metrics.REJECTED.labels(PLATFORM, "change").inc()
            self._log.exception("bluesky %s: news of %.300s are skipped", self._source.name, fate.did)
            return []

    def _read_change(self, change: Change, page: "_Page") -> list[Interaction]:
        """What a change is; nothing where it cannot be read. A stranger wrote it, and others wait behind it."""
        try:
            return self._interactions(change, page)
        except sqlite3.Error:
            raise  # the ledger's file, not the change
        except Exception:
            metrics.REJECTED.labels(PLATFORM, "change").inc()
            self._log.exception("bluesky %s: %.300s is skipped", self._source.name, change.uri)
            return []

    def _interactions(self, change: Change, page: "_Page") -> list[Interaction]:
        """What a change is for each account that it concerns."""
        now = self._now()
        if change.operation == "delete":
            noted = page.find(change.uri)
            if noted:
                page.gone.add(change.uri)
            return [
                deleted(change, noted[one.account.id], one, now) for one in self._watched if one.account.id in noted
            ]
        meaning = read(change)
        if meaning is None:
            return []
        concerned = [one for did in meaning.concerns for one in self._by_did.get(did, ())]
        if change.operation == "update":
            # An edit may take the brand's name out of a post that had it.
            before = page.find(change.uri)
            concerned += [one for one in self._watched if one.account.id in before and one not in concerned]
        found: list[Interaction] = []
        for one in concerned:
            fact = written(meaning, one, partial(page.of, one.account.id), now)
            if fact is not None:
                interaction, seen = fact
                page.note(seen)
                found.append(interaction)
        return found

    async def _named(self, interactions: Sequence[Interaction]) -> list[Interaction]:
        """With the handles of those who did it, as far as they are known."""
        nameless = {one.actor.id for one in interactions if one.actor.handle is None}
        handles = await self._handles.of(nameless, self._now()) if nameless else {}
        return [
            replace(one, actor=replace(one.actor, handle=handles[one.actor.id])) if one.actor.id in handles else one
            for one in interactions
        ]

    def _checked(self, interactions: Sequence[Interaction]) -> list[tuple[Interaction, Record]]:
        """In bounds, with their records. What cannot be taken, for instance an id of 1,000 characters, is left out."""
        found: list[tuple[Interaction, Record]] = []
        for interaction in interactions:
            try:
                fitting = fit(interaction)
                record = record_of(fitting)
                _CHECK.decode(record.value)
                if len(record.value) > LARGEST_VALUE:
                    raise ValueError(f"{len(record.value)} bytes; at most {LARGEST_VALUE} can be taken")
            except Exception as error:  # also what no check foresaw: the others of the batch go on
                metrics.REJECTED.labels(PLATFORM, "invalid").inc()
                self._log.error("bluesky %s: %.300s is skipped: %.300s", self._source.name, interaction.id, error)
            else:
                found.append((fitting, record))
        return found

    def _say(self, connected: bool) -> None:
        self._connected = connected
        metrics.CONNECTED.labels(PLATFORM, self._source.name).set(connected)
        metrics.FOLLOWED.labels(PLATFORM, self._source.name).set(len(self._watched) if connected else 0)


class _Page:
    """What the ledger knows, and on top of it what was seen since and is not kept yet."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._noted: dict[str, dict[str, Seen]] = {}
        self.gone: set[str] = set()
        """At-uris whose records are deleted."""

    def find(self, uri: str) -> dict[str, Seen]:
        """What was noted under an at-uri, by account."""
        return {one.account: one for one in self._ledger.find(uri)} | self._noted.get(uri, {})

    def of(self, account: str, uri: str) -> Seen | None:
        """What was noted under an at-uri for one account."""
        return self.find(uri).get(account)

    def known_to(self, follower: str) -> set[str]:
        """The accounts that something of a person was noted for."""
        return self._ledger.known_to(follower) | {one.account for one in self.noted() if one.follower == follower}

    def note(self, seen: Seen) -> None:
        """To be kept."""
        self.gone.discard(seen.uri)  # the same path can be written to again
        self._noted.setdefault(seen.uri, {})[seen.account] = seen

    def noted(self) -> list[Seen]:
        """All that is to be kept."""
        return [seen for by_account in self._noted.values() for seen in by_account.values()]


async def _receive(connection: ClientConnection, frames: asyncio.Queue[Raw]) -> None:
    async for raw in connection:
        await frames.put(raw)
