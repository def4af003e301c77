"""What breaks a worker on purpose. Runs in its process, before the scorer does.

The first part are faults that only the inside can bring about at the right moment. The second part breaks one promise
of the product each, so that the tests can be seen to fail.
"""

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from rapport.domain.exchanges import publication
from rapport.kit.broker import kafka_topics
from rapport.kit.broker.kafka_login import login
from services.scorer import agents, pruning, ticks, walk, worker
from services.scorer.exchanges import handler, threads
from services.scorer.fenced import lane, producer, state, transaction
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import POSITION, Position
from services.scorer.fenced.watchdog import Watchdog
from services.scorer.rows.exchanges import HeardRow
from tests.faults import answers

# Faults.


def _instead(owner: type, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(owner, name, wrap(getattr(owner, name)))


def _at_moment(moment: str, armed: str, do: Callable[[], None]) -> None:
    """Does something once, when a lane gets to a moment and the file `armed` is there; takes the file away."""

    def reached() -> None:
        if Path(armed).exists():
            Path(armed).unlink()
            do()

    def before(real: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*given: Any, **named: Any) -> Any:
            reached()
            return await real(*given, **named)

        return wrapped

    def after_it(real: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*given: Any, **named: Any) -> Any:
            found = await real(*given, **named)
            reached()
            return found

        return wrapped

    def written(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> None:
            real(*given)
            reached()

        return wrapped

    {
        "rows sent": lambda: _instead(AIOKafkaProducer, "send_offsets_to_transaction", before),
        "offsets sent": lambda: _instead(AIOKafkaProducer, "commit_transaction", before),
        "committed": lambda: _instead(AIOKafkaProducer, "commit_transaction", after_it),
        "given up": lambda: _instead(AIOKafkaProducer, "abort_transaction", after_it),
        "written": lambda: _instead(state.Store, "write", written),
    }[moment]()


def dies(moment: str, armed: str) -> None:
    """Kills itself (-9) at a moment.

    `rows sent`, `offsets sent`, `committed` (which the disk does not know yet), `written`; `given up`: after a refused
    batch, before it is tried in parts.
    """
    _at_moment(moment, armed, lambda: os.kill(os.getpid(), signal.SIGKILL))


def stops(moment: str, armed: str) -> None:
    """Stops itself (SIGSTOP) at a moment, until somebody lets it go on."""
    _at_moment(moment, armed, lambda: os.kill(os.getpid(), signal.SIGSTOP))


def stalls(moment: str, armed: str, seconds: float) -> None:
    """Does nothing for a while at a moment; only the thread that talks to the group goes on."""
    _at_moment(moment, armed, lambda: time.sleep(seconds))


def transactions_last(milliseconds: int) -> None:
    """The broker gives a transaction up that is open for longer."""
    producer.TRANSACTION_TIMEOUT_MS = milliseconds


def reviews_take(seconds: float) -> None:
    """Reviewing a thread takes a while."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def review(*given: Any) -> None:
            time.sleep(seconds)
            real(*given)

        return review

    _instead(threads.Threads, "review", wrap)


def parts_take(seconds: float) -> None:
    """Each part of a walk through rows takes a while."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def following(self: Any) -> Any:
            time.sleep(seconds)
            return real(self)

        return following

    _instead(walk.Walk, "next", wrap)


def impatient(seconds: float) -> None:
    """The watchdog waits for as long only."""
    worker.Watchdog = lambda _: Watchdog(seconds)  # type: ignore[assignment,misc]
    worker.CHECK_SECONDS = 0.5


def passes_after(seconds: float) -> None:
    """A lane notes sooner that it is past markers."""
    lane.PASSED_SECONDS = seconds


def late(armed: str) -> None:
    """While `armed` exists, chunks for exchanges wait on their way; the last of them is there before the next lane."""
    kept: dict[int, tuple[Any, ...]] = {}

    def putting(real: Callable[..., Any]) -> Callable[..., Any]:
        def put(self: Any, *given: Any) -> None:
            if self.agent.name == "exchanges" and Path(armed).exists():
                kept[self.partition] = given
            else:
                real(self, *given)

        return put

    def starting(real: Callable[..., Any]) -> Callable[..., Any]:
        def begin(self: Any) -> None:
            if self.agent.name == "exchanges" and self.partition in kept:
                Path(armed).unlink(missing_ok=True)
                self.put(*kept.pop(self.partition))
            real(self)

        return begin

    def passing(real: Callable[..., Any]) -> Callable[..., Any]:
        def passed(self: Any, *given: Any) -> None:
            # It travels behind the chunks, so it does not overtake those that wait.
            if not (self.agent.name == "exchanges" and Path(armed).exists()):
                real(self, *given)

        return passed

    _instead(lane.Lane, "put", putting)
    _instead(lane.Lane, "passed", passing)
    _instead(lane.Lane, "start", starting)


def clock_jumps(seconds: float, armed: str) -> None:
    """The machine's clock is off by so much as soon as `armed` exists."""
    real = time.time
    time.time = lambda: real() + (seconds if Path(armed).exists() else 0)


def collects_nothing() -> None:
    """Garbage stays, so what is not closed by somebody stays open."""
    gc.disable()


def ages(after: int) -> None:
    """A disk is too old after so many milliseconds."""
    agents.STALE_AFTER = after


def loses_answers(topic: str, every: int) -> None:
    """One in `every` answers to what is produced to a topic is lost."""
    answers.lost(topic, every)


def ticks_everywhere(many: int) -> None:
    """The worker sends its ticks into every partition, `many` times."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def send(self: Any, topic: str, value: bytes, **named: Any) -> None:
            for partition in range(4):
                for _ in range(many):
                    await real(self, topic, value, **{**named, "partition": partition})

        return send

    _instead(AIOKafkaProducer, "send_and_wait", wrap)


def behind(seconds: float) -> None:
    """Records wait before they are processed, and ticks do not."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def commit(self: Any, records: list[Any]) -> None:
            await asyncio.sleep(seconds)
            await real(self, records)

        return commit

    _instead(transaction.Transactions, "commit", wrap)


def ticks_never() -> None:
    """No clock moves by itself."""
    _instead(ticks.Ticks, "only", lambda _: lambda *_: None)


# Promises broken.


def no_changelog() -> None:
    """Rows are on the local disk alone."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def send(self: Any, outputs: list[Any]) -> Any:
            kept = [each for each in outputs if each.topic != self._agent.changelog or each.key == POSITION]
            return await real(self, kept)

        return send

    _instead(transaction.Transactions, "_send", wrap)


def early_commit() -> None:
    """Offsets and position are committed first, rows and outputs in a transaction of their own; of few records each."""
    lane.MOST_RECORDS = 20

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def transact(self: Any, batch: Batch, position: Position) -> None:
            await real(self, Batch(self._store), position)
            await asyncio.sleep(0.2)
            await real(self, batch, position)

        return transact

    _instead(transaction.Transactions, "_transact", wrap)


def takes_all() -> None:
    """A lane takes whatever it is given, from wherever it was fetched."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, records, _: real(self, records, self._session)

    _instead(lane.Lane, "put", wrap)


def disk_first() -> None:
    """Rows are on the disk before they are in the changelog."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def transact(self: Any, batch: Batch, position: Position) -> None:
            self._store.write(batch.changes(), self._store.marker() or 0)
            await asyncio.sleep(0.2)
            await real(self, batch, position)

        return transact

    _instead(transaction.Transactions, "_transact", wrap)


def no_position() -> None:
    """Partitions are read from their beginning, and whatever the log gives is applied, processed or not."""
    real = worker.read_from
    worker.read_from = lambda faust, offsets, session: real(faust, dict.fromkeys(offsets, 0), session)

    async def commit(self: Any, records: list[Any]) -> None:
        while records:
            records = records[await self._some(records) :]

    transaction.Transactions.commit = commit  # type: ignore[method-assign]


def deaf() -> None:
    """A failed delivery is only a pity."""

    class _Somewhere:
        offset = 0

    async def forgiving(future: Any) -> Any:
        try:
            return await future
        except Exception:
            return _Somewhere()

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def send(self: Any, outputs: list[Any]) -> Any:
            sent = await real(self, outputs)
            return [(topic, count, asyncio.ensure_future(forgiving(future))) for topic, count, future in sent]

        return send

    _instead(transaction.Transactions, "_send", wrap)


def unfenced() -> None:
    """Each process has transactional ids of its own, so nobody fences anybody."""

    def made(**named: Any) -> AIOKafkaProducer:
        return AIOKafkaProducer(**{**named, "transactional_id": f"{named['transactional_id']}-{os.getpid()}"})

    producer.AIOKafkaProducer = made


def swallows() -> None:
    """What cannot be processed is forgotten."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def apply(self: Any, *given: Any) -> None:
            try:
                real(self, *given)
            except Exception:
                return

        return apply

    _instead(handler.ExchangesHandler, "apply", wrap)


def trusting() -> None:
    """Nothing is refused: what is there is what there was."""
    real = lane.restore

    async def restore(*given: Any) -> int:
        try:
            return await real(*given)
        except state.RefusedError:
            return 0

    async def check(found: Position | None, *_: Any) -> Position:
        return found or Position(next={}, clock=0)

    lane.restore, lane.check_position = restore, check  # type: ignore[assignment]
    kafka_topics.check_topics = lambda *_: None


def stale() -> None:
    """A disk that has rows is good enough: the changelog is read into empty ones alone."""
    real = lane.restore

    async def restore(store: Any, *given: Any) -> int:
        return 0 if store.marker() is not None else await real(store, *given)

    async def check(found: Position | None, *_: Any) -> Position:
        return found or Position(next={}, clock=0)

    lane.restore, lane.check_position = restore, check


def waits_for_the_last_record() -> None:
    """Restoring ends only with a record right before the end, as Faust's own does."""

    async def restore(store: Any, bootstrap: str, changelog: Any, *_: Any) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", **login())
        await consumer.start()
        consumer.assign([changelog])
        await consumer.seek_to_beginning(changelog)
        end, last = (await consumer.end_offsets([changelog]))[changelog], -1
        while last < end - 1:
            record = await consumer.getone()
            store.write([(record.key, record.value)], record.offset + 1)
            last = record.offset
        await consumer.stop()
        return last

    lane.restore = restore


def deathless() -> None:
    """Nothing ends the worker."""
    worker.Worker._crashed = lambda *_: None  # type: ignore[method-assign]


def stays_before_markers() -> None:
    """A position is right after the last record, before the marker of its transaction."""

    def wrap(_: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *_: None

    _instead(transaction.Transactions, "note_passed", wrap)


def counts_when_finished() -> None:
    """What is due counts as progress once all of it is done."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def finish(self: Any) -> None:
            moved, self._moved = self._moved, lambda _: None
            await real(self)
            self._moved = moved
            moved(1)

        return finish

    _instead(transaction.Transactions, "finish", wrap)


def gives_up_when_fenced() -> None:
    """A producer that can do no more ends the worker."""
    lane.lost = lambda _: False


def rude() -> None:
    """Asked to end, it just goes."""

    async def stop(self: Any) -> None:
        os._exit(3)

    worker.Worker.stop = stop  # type: ignore[method-assign]


def own_clock() -> None:
    """The machine's clock decides."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, *given: real(
            self, *(max(each, int(time.time() * 1000)) if isinstance(each, int) else each for each in given)
        )

    _instead(handler.ExchangesHandler, "apply", wrap)
    _instead(handler.ExchangesHandler, "sweep", wrap)


def counts_ticks() -> None:
    """Each tick is worth a second, whoever sent it."""
    extra: dict[int, int] = {}

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def apply(self: Any, record: Any, clock: int, batch: Batch) -> None:
            extra[id(self)] = extra.get(id(self), 0) + 1_000
            real(self, record, clock + extra[id(self)], batch)

        return apply

    def sweeping(real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self, clock, batch: real(self, clock + extra.get(id(self), 0), batch)

    _instead(handler.ExchangesHandler, "apply", wrap)
    _instead(handler.ExchangesHandler, "sweep", sweeping)


def forgetful() -> None:
    """A worker that starts knows of no clock that runs."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(self: Any, stored: Any) -> Any:
            yield from real(self, stored)
            yield from self.threads._deadlines.filling([])

        return opening

    _instead(handler.ExchangesHandler, "opening", wrap)


def sure() -> None:
    """Every breach is confirmed."""
    HeardRow.silent_about = lambda *_: False  # type: ignore[method-assign]


def boundless() -> None:
    """Rows grow."""
    publication._bound = lambda _: False


def at_once() -> None:
    """Everything due is swept in one transaction."""
    threads.MOST_REVIEWED = 10**9


def offsets_apart() -> None:
    """Offsets are committed as soon as a batch is taken, in a transaction of their own."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        async def transact(self: Any, batch: Batch, position: Position) -> None:
            agent = self._agent
            name = f"apart-{agent.name}-{self._partition}"
            async with (
                AIOKafkaProducer(bootstrap_servers=agent.bootstrap, transactional_id=name, **login()) as producer,
                producer.transaction(),
            ):
                offsets = {
                    TopicPartition(source.rpartition(":")[0], self._partition): offset
                    for source, offset in position.next.items()
                }
                await producer.send_offsets_to_transaction(offsets, agent.group)
            await real(self, batch, position)

        return transact

    _instead(transaction.Transactions, "_transact", wrap)


def leaks() -> None:
    """Who closes rows that were read keeps them open."""
    held = []

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def close(self: Any) -> None:
            held.append(self._database.items())
            real(self)

        return close

    _instead(state.Store, "close", wrap)


def forgets_what_counts() -> None:
    """Every row leaves for its age, whatever rests on it."""

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def made(pruner: Any, kinds: Any) -> None:
            anyway = {"stays": lambda *_: False, "is_over": lambda *_: True}
            real(pruner, {prefix: kind._replace(**anyway) for prefix, kind in kinds.items()})

        return made

    _instead(pruning.Pruner, "__init__", wrap)
