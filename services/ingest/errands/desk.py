"""Carries out errands: each is done once, whatever happens in between.

Before an errand is sent, the log says that it is being sent, and under which claim. Whoever finds it like that later,
after a crash or because no answer came, waits until nobody can be sending it any more, and asks the platform whether
it is there. Only if it is not, it is sent again.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from rapport.contracts.cursors import errand_key
from rapport.contracts.errands import GIVEN_UP_AFTER, Errand, ErrandState, Progress
from rapport.contracts.events import Account
from rapport.domain.errands import ABLE
from rapport.kit import backoff
from rapport.kit.broker.producer import NotAcknowledgedError
from services.ingest import metrics
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.leases.leases import Lease, Leases, LostError
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError

SEND_SECONDS = 30.0
SETTLED = timedelta(seconds=60)
"""How long after its beginning an errand cannot be under way any more, in whichever process."""
UNHELD_SECONDS = 0.25
AGAIN_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 300.0
ATTENTION_SECONDS = 60.0
"""Somebody may have repaired the account meanwhile."""
UNKNOWN = "and the platform could not be asked whether it is there"
NOT_CONNECTED = "the account is not connected any more"
NO_TOKEN = "the account is connected without a token, so nothing can be written there"  # noqa: S105 - words


class Desk:
    """The errands of all accounts that this process has the lease of. For one event loop."""

    def __init__(
        self,
        speakers: Mapping[str, MakeSpeaker],
        leases: Leases,
        account: Callable[[str], tuple[str, Account] | None],
        now: Callable[[], datetime],
        log: logging.Logger,
    ) -> None:
        """`account` gives the brand and the account with an id."""
        self._make = speakers
        self._leases = leases
        self._account = account
        self._now = now
        self._log = log
        self._speakers: dict[str, tuple[Account, Speaker | None]] = {}
        self._one_at_a_time: dict[str, asyncio.Lock] = {}
        self._under_way: dict[str, tuple[Lease, Errand, asyncio.Task[None]]] = {}
        # A series that begins with its first refusal cannot show that one: it has to be there before, as zero.
        for platform, deeds in ABLE.items():
            for deed in deeds:
                for outcome in ("done", "refused"):
                    metrics.ERRANDS.labels(platform, deed, outcome)
        metrics.ERRANDS_WAITING.set_function(lambda: len(self._under_way))
        metrics.ERRANDS_OLDEST.set_function(self._oldest)

    def take(self, lease: Lease, errand: Errand) -> None:
        """Begins an errand, unless it is under way or its end is known."""
        known = self._under_way.get(errand.id)
        if lease.ended or (known is not None and not known[0].ended):
            return
        if known is not None:
            known[2].cancel()  # it waits under a lease that has ended
        task = asyncio.get_running_loop().create_task(self._carry_out(lease, errand))
        self._under_way[errand.id] = (lease, errand, task)
        task.add_done_callback(lambda ended: self._ended(errand.id, ended))

    async def close(self) -> None:
        """Ends all. What was being sent is asked for by whoever goes on."""
        tasks = [task for _, _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, errand: str, task: "asyncio.Task[None]") -> None:
        known = self._under_way.get(errand)
        if known is not None and known[2] is task:
            del self._under_way[errand]

    def _oldest(self) -> float:
        ages = [(self._now() - errand.at).total_seconds() for _, errand, _ in list(self._under_way.values())]
        return max([0.0, *ages])

    async def _carry_out(self, lease: Lease, errand: Errand) -> None:
        delays = _delays()
        while not lease.ended:
            if not self._leases.holds(lease):
                await asyncio.sleep(UNHELD_SECONDS)
                continue
            try:
                wait = await self._one_step(lease, errand, delays)
            except (LostError, NotAcknowledgedError, sqlite3.Error) as error:
                self._log.warning("errand %s waits: %s: %s", errand.id, type(error).__name__, error)
                wait = next(delays)
            except Exception:  # our own mistake must not end it without a word
                self._log.exception("errand %s", errand.id)
                wait = LONGEST_BACKOFF_SECONDS
            if wait is None:
                return
            await asyncio.sleep(wait)

    async def _one_step(self, lease: Lease, errand: Errand, delays: Iterator[float]) -> float | None:
        """Seconds until the next step; None when it has ended. Raises LostError, NotAcknowledgedError."""
        state = self._state(errand)
        if state is not None and state.state in ("done", "refused"):
            return None
        speaker, why = self._speaker(errand)
        late = self._now() - errand.at > GIVEN_UP_AFTER
        sending = state is not None and state.state == "sending"
        # Somebody noted that it is being sent; or it is so old that what was noted of it may have been lost.
        may_be_there = sending or self._now() - errand.at > SETTLED
        if late and speaker is None:
            await self._given_up(lease, errand, why if state is None or state.why is None else state.why)
            return None
        if speaker is None:
            await self._waits(lease, errand, why or NO_TOKEN, unsent=not sending)
            return ATTENTION_SECONDS
        if state is not None and sending and (left := (state.at + SETTLED - self._now()).total_seconds()) > 0:
            return min(left, SETTLED.total_seconds())
        async with self._one_at_a_time.setdefault(errand.account, asyncio.Lock()):
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    found = await speaker.find(errand) if may_be_there and errand.deed == "answer" else None
                if found is not None:
                    await self._done(lease, errand, found)
                    return None
                if late:
                    await self._given_up(lease, errand, None if state is None else state.why)
                    return None
                await self._note(lease, errand, "sending")
                if not self._leases.holds(lease):
                    raise LostError
                sending = False  # what is said from here on is said of this attempt
                async with asyncio.timeout(SEND_SECONDS):
                    done = await speaker.do(errand)
                await self._done(lease, errand, done)
                return None
            except RefusedError as error:
                await self._note(lease, errand, "refused", str(error))
                return None
            except (LimitedError, AttentionError) as error:
                if late:
                    await self._given_up(lease, errand, UNKNOWN)
                    return None
                await self._waits(lease, errand, str(error), unsent=not sending)
                return error.seconds if isinstance(error, LimitedError) else ATTENTION_SECONDS
            except (AwayError, TimeoutError) as error:
                # Whether it was carried out is not known: the log says that it is being sent, and it is asked for.
                said = str(error) or "the platform did not answer in time"
                self._log.warning("errand %s on %s: %s", errand.id, errand.platform, said)
                if not late:
                    return next(delays)
                await self._given_up(lease, errand, UNKNOWN)
                return None

    def _state(self, errand: Errand) -> ErrandState | None:
        found = self._leases.get(errand_key(errand.account, errand.id))
        return found if isinstance(found, ErrandState) else None

    async def _given_up(self, lease: Lease, errand: Errand, why: str | None) -> None:
        said = f"it could not be sent within 24 hours{f': {why}' if why else ''}"
        await self._note(lease, errand, "refused", said)

    async def _done(self, lease: Lease, errand: Errand, done: Done) -> None:
        kept = done.bounded()
        await self._note(lease, errand, "done", done_as=kept.id, url=kept.url)

    async def _waits(self, lease: Lease, errand: Errand, why: str, *, unsent: bool = True) -> None:
        """Notes why it waits. Raises as `_note`. Unless it is certainly unsent, the log goes on saying `sending`."""
        state = self._state(errand)
        if state is not None and state.state == "sending" and not unsent:
            if state.why != why:
                await self._note(lease, errand, "sending", why, at=state.at)
        elif state is None or state.state != "waiting" or state.why != why:
            await self._note(lease, errand, "waiting", why)

    async def _note(
        self, lease: Lease, errand: Errand, state: Progress, why: str | None = None, *,
        done_as: str | None = None, url: str | None = None, at: datetime | None = None,
    ) -> None:  # fmt: skip
        noted = ErrandState(
            brand=errand.brand, account=errand.account, errand=errand.id, state=state, at=at or self._now(),
            claim=lease.claim, why=why, done_as=done_as, url=url,
        )  # fmt: skip
        await self._leases.put(lease, [noted])
        if state in ("done", "refused"):
            metrics.ERRANDS.labels(errand.platform, errand.deed, state).inc()
            self._log.info("errand %s (%s on %s) is %s%s", errand.id, errand.deed, errand.platform, state,
                           f": {why}" if why else "")  # fmt: skip

    def _speaker(self, errand: Errand) -> tuple[Speaker | None, str | None]:
        """What speaks for the account of an errand; or why nothing does."""
        found = self._account(errand.account)
        if found is None or found[0] != errand.brand or found[1].platform != errand.platform:
            return None, NOT_CONNECTED
        account = found[1]
        known = self._speakers.get(account.id)
        if known is None or known[0] != account:
            make = self._make.get(account.platform)
            known = self._speakers[account.id] = (account, make(account) if make is not None else None)
        return known[1], None if known[1] is not None else NO_TOKEN


def _delays() -> Iterator[float]:
    return backoff.delays(AGAIN_SECONDS, LONGEST_BACKOFF_SECONDS)
