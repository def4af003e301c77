"""`rapport verify`: replays the log to its end, compares, and compares again what differs until that is certain."""

import asyncio
import contextlib
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiokafka.errors
import kafka.errors
from aiokafka import TopicPartition
from msgspec import Struct
from pymongo.database import Database
from pymongo.errors import PyMongoError

from rapport.contracts.topics import CATALOGUE
from rapport.domain.times import utc
from rapport.kit import mongo
from rapport.kit.broker import kafka_topics
from rapport.kit.mongo import Document
from services.scorer.fenced.state import Store
from services.verify.compare import KINDS, Comparison, Difference
from services.verify.expected import Expected
from services.verify.figures import FIGURES
from services.verify.following import Following
from services.verify.groups import Rounds
from services.verify.log import SOURCES, Log, UnverifiableError, name, partitions
from services.verify.progress import Step, steps
from services.verify.replay import Replay
from services.verify.rows import Standing
from services.verify.settle import Settling
from services.verify.words import plural

log = logging.getLogger("rapport.verify")

AGREES, DIFFERS, UNDONE = 0, 1, 2
"""Exit codes."""
MOST_OPEN = 200_000
"""With more differences than this, the comparison stops until they are decided."""
LOOK_SECONDS = 0.5
_SOURCE_NAMES = frozenset(topic.name for topic in SOURCES)


@dataclass(frozen=True)
class Wanted:
    """What to verify, and how. Times in seconds."""

    kafka: str
    mongodb: str
    database: str
    grace: float
    """The scorer's `breach_grace_seconds`."""
    settle: float
    """How long something has to differ unchanged before it counts as a difference."""
    brand: str | None = None
    keep: Path | None = None
    """Where the replayed rows stay, to continue from next time; without it they are in a temporary folder."""


class Summary(Struct, kw_only=True):
    """What was done, after the differences."""

    what: str = "summary"
    verified: bool
    """Whether it could be done."""
    why: str | None = None
    """Why not."""
    records: int = 0
    """Replayed, from `first` to `last`, by append time."""
    first: datetime | None = None
    last: datetime | None = None
    compared: dict[str, int] = {}
    """How many by kind."""
    counts: dict[str, dict[str, int]] = {}
    """Interactions by brand and kind, as the log has them."""
    differences: int = 0


def verify(wanted: Wanted, tell: Callable[[Difference | Summary], None]) -> int:
    """Verifies, tells each difference and last the summary, and gives the exit code."""
    for library in ("aiokafka", "kafka", "pymongo"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        differences, summary = asyncio.run(_Verification(wanted).run())
    except (Exception, KeyboardInterrupt) as error:  # uncaught, it would end with the code for a difference
        differences, summary = [], Summary(verified=False, why=_words(error, wanted))
    for difference in differences:
        tell(difference)
    tell(summary)
    return DIFFERS if differences else AGREES if summary.verified else UNDONE


def _words(error: BaseException, wanted: Wanted) -> str:
    """Why it could not be done."""
    if isinstance(error, UnverifiableError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted"
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, kafka.errors.KafkaError | aiokafka.errors.KafkaError):
        return f"Kafka at {wanted.kafka}: {said}"
    if isinstance(error, PyMongoError):
        return f"MongoDB at {mongo.shown(wanted.mongodb)}: {said}"
    if not isinstance(error, OSError):
        log.error("a fault in verify or in the handlers", exc_info=error)
    return said


class _Verification:
    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._compared = dict.fromkeys((*KINDS, *(figure.what for figure in FIGURES)), 0)
        self._ended = threading.Event()

    async def run(self) -> tuple[list[Difference], Summary]:
        """The differences, and the summary."""
        wanted = self._wanted
        await asyncio.to_thread(_check_topics, wanted.kafka)
        with steps() as self._steps, _store(wanted.keep) as store, mongo.patient_client(wanted.mongodb) as client:
            client.admin.command("ping")
            self._log = Log(wanted.kafka)
            try:
                added = await self._log.connect()
                self._before = [each.was for each in added]
                self._replay = Replay(store, round(wanted.grace * 1000), added)
                await self._log.start(self._replay.standing.positions())
                return await self._verify(client[wanted.database])
            finally:
                self._ended.set()  # else an interruption would wait for the thread that compares
                await self._log.stop()

    async def _verify(self, database: Database[Document]) -> tuple[list[Difference], Summary]:
        expected = self._replay.expected
        comparison = Comparison(expected, database, self._wanted.brand, self._log.cut, self._before)
        settling = Settling(comparison, comparison.hour, self._wanted.settle)
        rounds = Rounds(self._log)
        await self._catch_up()
        await self._catch_up()  # what arrived meanwhile, so that less differs at first
        why: str | None = None
        try:
            complete = False
            while not (complete or len(settling)):
                complete = await asyncio.to_thread(self._compare, comparison, settling, rounds.begun + 1)
                await self._settle_differences(settling, rounds)
            if not complete:
                why = "so much differs that the rest was not compared. "
                why += f"Is a grace of {self._wanted.grace:g} s right, and {self._wanted.database} the right database?"
        except UnverifiableError as error:
            why = str(error)
        finally:
            await rounds.stop()
        differences, undecided = settling.outcome(rounds.done)
        why = why or _kept_changing(undecided)
        if why is None and not differences:
            differences, why = await self._verify_figures(database)
        standing = self._replay.standing
        return differences, Summary(
            verified=why is None,
            why=why,
            records=standing.records,
            first=utc(standing.first) if standing.first is not None else None,
            last=utc(standing.last) if standing.last is not None else None,
            compared=self._compared,
            counts=_counts(expected, self._wanted.brand),
            differences=len(differences),
        )

    async def _verify_figures(self, database: Database[Document]) -> tuple[list[Difference], str | None]:
        """Compares what the upkeep makes from the views; gives what differs, and why it could not be done."""
        brand = self._wanted.brand
        brands = [brand] if brand is not None else await asyncio.to_thread(database["brands"].distinct, "_id")
        following = Following(database, brands, self._wanted.settle)
        await asyncio.to_thread(self._compare_figures, following)
        if len(following) and not following.decided():
            with self._steps.step(_looking(len(following), "figures")) as step:
                while len(following) and not following.decided():
                    step.now(_looking(len(following), "figures"))
                    await asyncio.sleep(LOOK_SECONDS)
                    await asyncio.to_thread(following.look_again)
        differences, undecided = following.outcome()
        return differences, _kept_changing(undecided)

    def _compare_figures(self, following: Following) -> None:
        for figure in FIGURES:
            with self._steps.step(f"comparing {plural(figure.what)}", following.size(figure.what)) as step:
                for many in following.whole(figure.what):
                    self._compared[figure.what] += many
                    step.advance(many)
                    if len(following) > MOST_OPEN or self._ended.is_set():
                        return

    async def _catch_up(self, *, tell: bool = True) -> None:
        """Replays to the ends as they are now."""
        ends = await self._log.ends()
        left = await self._log.left(ends)
        with self._steps.step("reading the log", left) if tell else contextlib.nullcontext() as step:
            sources = {each: end for each, end in ends.items() if each.topic in _SOURCE_NAMES}
            # The dead letters first: for some records, nothing else says that they were not processed.
            await self._take({each: end for each, end in ends.items() if each not in sources}, step)
            while (added := self._replay.next_addition) is not None:
                there = [each for each in sources if each.partition < added.was]
                await self._take({each: added.at.get(name(each), 0) for each in there}, step, exactly=True)
                self._replay.add_partitions()
            await self._take(sources, step)
        self._replay.passed(await self._log.positions())

    async def _take(self, ends: Mapping[TopicPartition, int], step: Step | None, *, exactly: bool = False) -> None:
        async for records in self._log.read(ends, exactly=exactly):
            self._replay.take(records)
            if step is not None and records[0].topic in _SOURCE_NAMES:
                step.advance(len(records))

    def _compare(self, comparison: Comparison, settling: Settling, number: int) -> bool:
        """Compares everything; False where so much differs that it stopped. `number`: the next round that begins."""
        for what in KINDS:
            self._compared[what] = 0
            with self._steps.step(f"comparing {plural(what)}", comparison.size(what)) as step:
                for many, differing in comparison.whole(what):
                    self._compared[what] += many
                    step.advance(many)
                    settling.add(differing, number)
                    if len(settling) > MOST_OPEN or self._ended.is_set():
                        return False
        return True

    async def _settle_differences(self, settling: Settling, rounds: Rounds) -> None:
        """Follows the log until what differs agrees, or will certainly stay different."""
        if not len(settling) or settling.decided(rounds.done):
            return
        with self._steps.step(_looking(len(settling), "things")) as step:
            while len(settling) and not settling.decided(rounds.done):
                step.now(_looking(len(settling), "things"))
                rounds.advance(_reached(self._replay.standing))
                following = rounds.begun + 1
                hours = await asyncio.to_thread(settling.hours, rounds.done, following)
                await self._catch_up(tell=False)
                await asyncio.to_thread(settling.look_again, hours, following)
                await asyncio.sleep(LOOK_SECONDS)


def _kept_changing(undecided: Sequence[tuple[str, str]]) -> str | None:
    if not undecided:
        return None
    return (
        f"{len(undecided):,} things kept changing and never agreed with the log, for example {' '.join(undecided[0])}"
    )


def _looking(many: int, what: str) -> str:
    return f"rechecking {many:,} {what} that differ"


def _reached(standing: Standing) -> Mapping[TopicPartition, int]:
    return {each: standing.next[name(each)] for each in partitions(SOURCES) if name(each) in standing.next}


def _counts(expected: Expected, brand: str | None) -> dict[str, dict[str, int]]:
    """The interactions by brand and kind."""
    counts: dict[str, dict[str, int]] = {}
    for hours in expected.ids("hour", brand):
        for hour in hours:
            found = counts.setdefault(hour.partition("/")[0], {})
            for kind, many in expected.hour(hour).items():
                found[kind] = found.get(kind, 0) + many
    return counts


def _check_topics(bootstrap: str) -> None:
    try:
        kafka_topics.check_topics(bootstrap, CATALOGUE)
    except LookupError as error:
        raise UnverifiableError(str(error)) from error


@contextlib.contextmanager
def _store(keep: Path | None) -> Iterator[Store]:
    with contextlib.ExitStack() as ending:
        if keep is None:
            folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="rapport-verify-")))
        else:
            folder = keep
        try:
            store = Store(folder / "rows")
        except Exception as error:  # rocksdict's are of no kind of their own
            raise UnverifiableError(f"the rows in {folder} cannot be opened: {error}") from error
        ending.callback(store.close)
        yield store
