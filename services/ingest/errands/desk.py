"""Carries out errands: each is done once, whatever happens in between.

Before an errand is sent, the log says that it is being sent, and under which claim. Whoever finds it like that later,
after a crash or because no answer came, waits until nobody can be sending it any more, and asks the platform whether
it is there. Only if it is not, it is sent again.
"""

import asyncio
import bisect
import contextlib
import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from rapport.contracts.cursors import Remembered, errand_key
from rapport.contracts.errands import GIVEN_UP_AFTER, Errand, ErrandState, Progress
from rapport.contracts.events import Account
from rapport.domain.errands import ABLE, HIDINGS, QUIET, UNSURE
from rapport.kit import backoff
from rapport.kit.broker.producer import NotAcknowledgedError
from services.ingest import metrics
from services.ingest.broker import Broker
from services.ingest.connectors.intake import Intake
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker, UntoldError
from services.ingest.leases.leases import Lease, Leases, LostError
from services.ingest.polling import hidings
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError

SEND_SECONDS = 30.0
SETTLED = timedelta(seconds=60)
"""How long after its beginning an errand cannot be under way any more, in whichever process."""
UNHELD_SECONDS = TURN_SECONDS = 0.25
AGAIN_SECONDS = 5.0
LONGEST_BACKOFF_SECONDS = 300.0
ATTENTION_SECONDS = 60.0
"""Somebody may have repaired the account meanwhile."""
MOST_WISHES = 100_000
"""Comments of which it is remembered what was last asked for: hidden, or shown."""
UNKNOWN = f"{UNSURE}: for 24 hours the platform could not be asked"
UNLOOKED = f"{UNSURE}: for 24 hours it could not be tried again"
LIMITED = "no more requests are allowed for this account at the moment"
OUR_FAULT = "something went wrong in Rapport; the log of ingest says what"
REPLACED = "something later was asked for the same comment"
NOT_CONNECTED = "the account is not connected any more"
NO_TOKEN = "the account is connected without a token, so nothing can be written there"  # noqa: S105 - words


class Desk:
    """The errands of all accounts that this process has the lease of. For one event loop."""

    def __init__(
        self,
        speakers: Mapping[str, MakeSpeaker],
        leases: Leases,
        broker: Broker,
        account: Callable[[str], tuple[str, Account] | None],
        now: Callable[[], datetime],
        log: logging.Logger,
    ) -> None:
        """`account` gives the brand and the account with an id."""
        self._make = speakers
        self._leases = leases
        self._broker = broker
        self._account = account
        self._now = now
        self._log = log
        self._speakers: dict[str, tuple[Account, Speaker | None]] = {}
        self._one_at_a_time: dict[str, asyncio.Lock] = {}
        self._under_way: dict[str, tuple[Lease, Errand, asyncio.Task[None]]] = {}
        self._wishes: dict[tuple[str, str], list[str]] = {}
        self._talks: defaultdict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
        """Private messages to somebody that are under way. They arrive in the order in which they were written."""
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
        self._note_wish(errand)
        with contextlib.suppress(sqlite3.Error):  # then it is looked at when it is its turn
            if _has_ended(self._state(errand)):
                return
        if known is not None:
            known[2].cancel()  # it waits under a lease that has ended
        task = asyncio.get_running_loop().create_task(self._carry_out(lease, errand))
        self._under_way[errand.id] = (lease, errand, task)
        if errand.thing_kind == "message":
            talk = self._talks[errand.account, errand.follower]
            if (errand.at, errand.id) not in talk:
                bisect.insort(talk, (errand.at, errand.id))
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
            ours = known[1]
            if ours.thing_kind == "message":
                talk = self._talks[ours.account, ours.follower]
                talk.remove((ours.at, ours.id))
                if not talk:
                    del self._talks[ours.account, ours.follower]

    def _oldest(self) -> float:
        ages = [(self._now() - errand.at).total_seconds() for _, errand, _ in list(self._under_way.values())]
        return max([0.0, *ages])

    def _note_wish(self, errand: Errand) -> None:
        """Remembers in which order somebody wanted a comment hidden and shown: only the last counts."""
        if errand.deed not in HIDINGS:
            return
        wishes = self._wishes.setdefault((errand.account, errand.thing), [])
        if errand.id not in wishes:
            wishes.append(errand.id)
        while len(self._wishes) > MOST_WISHES:
            del self._wishes[next(iter(self._wishes))]

    def _is_replaced(self, errand: Errand) -> bool:
        wishes = self._wishes.get((errand.account, errand.thing))
        return errand.deed in HIDINGS and wishes is not None and wishes[-1] != errand.id

    async def _carry_out(self, lease: Lease, errand: Errand) -> None:
        tries: _Tries | None = None
        while not lease.ended:
            if not self._leases.holds(lease):
                await asyncio.sleep(UNHELD_SECONDS)
                continue
            if not self._is_its_turn(errand):
                await asyncio.sleep(TURN_SECONDS)
                continue
            tries = tries or _Tries()
            try:
                wait = await self._one_step(lease, errand, tries)
            except (LostError, NotAcknowledgedError, sqlite3.Error) as error:
                self._log.warning("errand %s waits: %s: %s", errand.id, type(error).__name__, error)
                wait = next(tries.delays)
            except Exception:  # our own mistake must not end it without a word
                self._log.exception("errand %s", errand.id)
                wait = await self._after_our_fault(lease, errand)
            if wait is None:
                return
            await asyncio.sleep(wait)

    async def _after_our_fault(self, lease: Lease, errand: Errand) -> float | None:
        """As `_one_step`. It is told, and tried again for as long as anything else is."""
        try:
            if self._is_late(errand):
                await self._given_up_unasked(lease, errand, OUR_FAULT)
                return None
            unsent = not self._may_be_there(lease, errand, self._state(errand))
            await self._waits(lease, errand, OUR_FAULT, unsent=unsent)
        except (LostError, NotAcknowledgedError, sqlite3.Error) as error:
            self._log.warning("errand %s waits: %s: %s", errand.id, type(error).__name__, error)
        return LONGEST_BACKOFF_SECONDS

    async def _one_step(self, lease: Lease, errand: Errand, tries: "_Tries") -> float | None:
        """Seconds until the next step; None when it has ended. Raises LostError, NotAcknowledgedError."""
        # Many may wait here for long, so everything else is looked at afterwards.
        async with self._one_at_a_time.setdefault(errand.account, asyncio.Lock()):
            state = self._state(errand)
            if _has_ended(state):
                return None
            speaker, why = self._speaker(errand)
            if speaker is None:
                if self._is_late(errand):
                    await self._given_up_unasked(lease, errand, state.why if state and state.why else why)
                    return None
                await self._waits(lease, errand, why or NO_TOKEN, unsent=not self._may_be_there(lease, errand, state))
                return ATTENTION_SECONDS
            if state is not None and state.state == "sending" and (left := tries.settled_at - time.monotonic()) > 0:
                return left
            return await self._try(lease, errand, speaker, state, tries)

    async def _try(
        self, lease: Lease, errand: Errand, speaker: Speaker, state: ErrandState | None, tries: "_Tries"
    ) -> float | None:
        """As `_one_step`, once there is somebody who speaks for the account."""
        late = self._is_late(errand)
        sent_before = state is not None and state.state == "sending"
        # Until it was looked for, and until what we send ourselves is answered, nobody knows.
        unsent = not self._may_be_there(lease, errand, state)
        try:
            if not unsent and errand.deed == "answer":
                async with asyncio.timeout(SEND_SECONDS):
                    found = await self._found(speaker, errand, sent_before)
                if found is not None:
                    await self._done(lease, errand, found)
                    return None
            if late and sent_before and errand.deed != "answer":
                await self._note(lease, errand, "refused", UNLOOKED)
                return None
            if late:
                await self._given_up(lease, errand, None if state is None else state.why)
                return None
            if self._is_replaced(errand):
                await self._note(lease, errand, "refused", REPLACED)
                return None
            await self._note(lease, errand, "sending")
            if not self._leases.holds(lease):
                raise LostError
            tries.begin()
            unsent = True  # what is refused from here on is this attempt
            async with asyncio.timeout(SEND_SECONDS):
                done = await speaker.do(errand)
            await self._done(lease, errand, done)
            return None
        except RefusedError as error:
            await self._note(lease, errand, "refused", str(error))
            return None
        except (LimitedError, AttentionError) as error:
            if late:
                await self._note(lease, errand, "refused", UNKNOWN)
                return None
            limited = isinstance(error, LimitedError)
            # With the seconds in it, it would be another reason at each try, and be noted each time.
            await self._waits(lease, errand, LIMITED if limited else str(error), unsent=unsent)
            return error.seconds if isinstance(error, LimitedError) else next(tries.pauses)
        except (AwayError, TimeoutError) as error:
            # Whether it was carried out is not known: the log says that it is being sent, and it is asked for.
            said = str(error) or "the platform did not answer in time"
            self._log.warning("errand %s on %s: %s", errand.id, errand.platform, said)
            if not late:
                return next(tries.delays)
            await self._note(lease, errand, "refused", UNKNOWN)
            return None

    def _may_be_there(self, lease: Lease, errand: Errand, state: ErrandState | None) -> bool:
        """Whether it may have been sent.

        Somebody noted that it is being sent; or it is so old that what was noted of it may have been lost, unless we
        noted ourselves that it was not sent. Looking costs requests, of which there may be few.
        """
        if state is not None and state.state == "sending":
            return True
        surely_unsent = state is not None and state.state == "waiting" and state.claim == lease.claim
        return self._now() - errand.at > SETTLED and not surely_unsent

    async def _found(self, speaker: Speaker, errand: Errand, sent_before: bool) -> Done | None:
        try:
            return await speaker.find(errand)
        except UntoldError:
            raise
        except RefusedError:
            # That is said of the question and not of the answer. Where nothing was ever sent, sending it says more.
            if sent_before:
                raise UntoldError from None
            return None

    def _is_its_turn(self, errand: Errand) -> bool:
        before = self._talks.get((errand.account, errand.follower)) if errand.thing_kind == "message" else None
        return not before or before[0] >= (errand.at, errand.id)

    def _is_late(self, errand: Errand) -> bool:
        return self._now() - errand.at > GIVEN_UP_AFTER

    def _state(self, errand: Errand) -> ErrandState | None:
        found = self._leases.get(errand_key(errand.account, errand.id))
        return found if isinstance(found, ErrandState) else None

    async def _given_up(self, lease: Lease, errand: Errand, why: str | None) -> None:
        said = f"it could not be sent within 24 hours{f': {why}' if why else ''}"
        await self._note(lease, errand, "refused", said)

    async def _given_up_unasked(self, lease: Lease, errand: Errand, why: str | None) -> None:
        """Ends what the platform cannot be asked about any more: it may have been sent before."""
        state = self._state(errand)
        if state is not None and state.state == "sending":
            await self._note(lease, errand, "refused", UNKNOWN)
        else:
            await self._given_up(lease, errand, why)

    async def _done(self, lease: Lease, errand: Errand, done: Done) -> None:
        kept = done.bounded()
        seen = await self._told(lease, errand)
        await self._note(lease, errand, "done", done_as=kept.id, url=kept.url, seen=seen)

    async def _told(self, lease: Lease, errand: Errand) -> Sequence[Remembered]:
        """Tells that a comment is hidden now, or shown, where the platform does not. Gives what to remember of it.

        Raises NotAcknowledgedError.
        """
        kind, now = errand.deed, self._now()
        if (kind != "hide" and kind != "unhide") or errand.platform not in QUIET or errand.conversation is None:
            return ()
        hiding = hidings.hiding(
            kind, now, brand=errand.brand, platform=errand.platform, account=errand.account, thing=errand.thing,
            conversation=errand.conversation, thread=errand.thread, post=errand.post,
        )  # fmt: skip
        await Intake(errand.platform, "errands", self._broker, self._log).append([hiding], ())
        return (hidings.seen(hiding, kind, now, lease.claim),)

    async def _waits(self, lease: Lease, errand: Errand, why: str, *, unsent: bool) -> None:
        """Notes why it waits. Raises as `_note`. Unless it is certainly unsent, the log says `sending`."""
        state = self._state(errand)
        if not unsent:
            began = state.at if state is not None and state.state == "sending" else errand.at
            if state is None or (state.state, state.why) != ("sending", why):
                await self._note(lease, errand, "sending", why, at=began)
        elif state is None or state.state != "waiting" or state.why != why:
            await self._note(lease, errand, "waiting", why)

    async def _note(
        self, lease: Lease, errand: Errand, state: Progress, why: str | None = None, *,
        done_as: str | None = None, url: str | None = None, at: datetime | None = None,
        seen: Sequence[Remembered] = (),
    ) -> None:  # fmt: skip
        noted = ErrandState(
            brand=errand.brand, account=errand.account, errand=errand.id, state=state, at=at or self._now(),
            claim=lease.claim, why=why, done_as=done_as, url=url,
        )  # fmt: skip
        await self._leases.put(lease, [noted, *seen])
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


class _Tries:
    """One process's tries to carry out an errand."""

    def __init__(self) -> None:
        self.delays = backoff.delays(AGAIN_SECONDS, LONGEST_BACKOFF_SECONDS)
        self.pauses = backoff.delays(ATTENTION_SECONDS, LONGEST_BACKOFF_SECONDS)
        """Where somebody has to do something first. Each try costs a request, of which the account may have few."""
        self.begin()

    def begin(self) -> None:
        """It is sent now, or was by whoever had the lease before."""
        self.settled_at = time.monotonic() + SETTLED.total_seconds()
        """From when on nobody can be sending it any more, whatever the clocks of machines say or said."""


def _has_ended(state: ErrandState | None) -> bool:
    return state is not None and state.state in ("done", "refused")
