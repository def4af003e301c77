"""What faust-streaming 0.15.3 does by itself under the same faults: the reasons why the scorer has lanes of its own.

Each test asserts the defect, so that an upgrade that mends it is noticed, and names the test that the scorer passes
instead. The faults are forced where they would else be races: a producer that takes long, a broker that refuses. Not
shown, because it is a race in the broker's and Faust's own time: that `exactly_once` loses and doubles.
"""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from faust.stores import rocksdb
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from rocksdict import Options, Rdict

from rapport.contracts.topics import Topic
from rapport.kit.broker.kafka_login import login
from rapport.local import ports
from tests.faults.broker import OwnBroker
from tests.faults.plain import COUNTS, EVENTS, GROUP, SAID
from tests.faults.test_changelog import CLEANER, COMPACTED_AT_ONCE
from tests.waiting import until

pytestmark = [pytest.mark.stack, pytest.mark.long]

CHANGELOG = Topic(COUNTS, ("key",), (), (), fixed=1)


class PlainWorker:
    """A process of `plain`, and what it leaves behind."""

    def __init__(self, broker: OwnBroker, folder: Path, name: str = "plain-0") -> None:
        self.broker = broker
        self.data = folder / name
        self.port = ports.usual_or_free(0)
        self._log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *faults: str, settings: str = "") -> None:
        """Starts it, with the faults of its environment."""
        arguments = [self.broker.kafka, str(self.data), str(self.port), settings, *faults]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.plain", *arguments], stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Ends it in the middle of whatever it does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def wipe(self) -> None:
        """It comes back with nothing."""
        shutil.rmtree(self.data)

    def seen(self) -> Counter[str]:
        """How often it was through with an event of each key, over all its lives on this disk."""
        file = self.data / "seen"
        return Counter(file.read_text().split()) if file.exists() else Counter()

    def watched(self) -> tuple[int, str]:
        """How often its livelock detector has looked, and how much it then thought to be left."""
        file = self.data / "watched"
        looks, _, lag = (file.read_text() if file.exists() else "").partition(" ")
        return int(looks or 0), lag

    def said(self) -> str:
        """What it wrote to its log."""
        return self._log.read_text(errors="replace")

    def believes(self) -> str:
        """Up to where it thinks to have committed."""
        file = self.data / "believed"
        return file.read_text() if file.exists() else ""

    def rows(self) -> dict[str, str]:
        """The rows on its disk, when it does not run."""
        (path,) = self.data.glob("v*/tables/counts-0.db")
        database = Rdict(str(path), Options(raw_mode=True))
        try:
            found: Any = database.items()
            return {key.decode(): value.decode() for key, value in found if not key.startswith(b"__faust")}
        finally:
            database.close()


@pytest.fixture
def plain(broker: OwnBroker, tmp_path: Path) -> Iterator[Callable[..., PlainWorker]]:
    """Makes workers on a broker that has their topics."""
    admin = KafkaAdminClient(bootstrap_servers=broker.kafka, **login())
    admin.create_topics([NewTopic(name=name, num_partitions=1, replication_factor=1) for name in (EVENTS, SAID)])
    compacted = {"cleanup.policy": "compact"}
    admin.create_topics([NewTopic(name=COUNTS, num_partitions=1, replication_factor=1, topic_configs=compacted)])
    until(lambda: {EVENTS, SAID, COUNTS} <= set(admin.list_topics()), "the topics are there")
    admin.close()
    made: list[PlainWorker] = []

    def one(name: str = "plain-0") -> PlainWorker:
        made.append(PlainWorker(broker, tmp_path, name))
        return made[-1]

    try:
        yield one
    finally:
        for worker in made:
            worker.kill()


def send(broker: OwnBroker, *events: tuple[str, bytes]) -> None:
    """Writes events: key and value."""
    producer = KafkaProducer(bootstrap_servers=broker.kafka, **login())
    for key, value in events:
        producer.send(EVENTS, value, key=key.encode(), partition=0).get(30)
    producer.close()


def offset(broker: OwnBroker) -> int:
    """Up to where the group has committed."""
    consumer = KafkaConsumer(bootstrap_servers=broker.kafka, group_id=GROUP, **login())
    try:
        return consumer.committed(TopicPartition(EVENTS, 0)) or 0
    finally:
        consumer.close()


def there(broker: OwnBroker, topic: str) -> list[bytes | None]:
    """The values in a topic."""
    consumer = KafkaConsumer(bootstrap_servers=broker.kafka, auto_offset_reset="earliest", **login())
    try:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end, found = consumer.end_offsets([partition])[partition], []
        while consumer.position(partition) < end:
            found += [record.value for records in consumer.poll(200).values() for record in records]
        return found
    finally:
        consumer.close()


def tombstones_after_another_row(broker: OwnBroker) -> int:
    """How many deletions the changelog still knows of. The row is written so that a segment closes."""
    producer = KafkaProducer(bootstrap_servers=broker.kafka, **login())
    producer.send(COUNTS, b"0", key=b'"closing"', partition=0).get(30)
    producer.close()
    return there(broker, COUNTS).count(None)


Plain = Callable[..., PlainWorker]
ADA = ("ada", b"count")


def test_rule_1_offsets_are_committed_before_the_changelog_has_the_rows(broker: OwnBroker, plain: Plain) -> None:
    """Ours: `test_kills`, while the broker stalls."""
    worker = plain()
    worker.start("slow_changelog")
    send(broker, *[ADA] * 10)
    until(lambda: offset(broker) == 10, "all of it is committed")
    assert there(broker, COUNTS) == []
    worker.kill()
    worker.wipe()
    worker.start()
    send(broker, ADA)
    until(lambda: offset(broker) == 11, "it goes on")
    worker.kill()
    assert worker.rows() == {'"ada"': "1"}, "ten events are lost"


def test_rule_2_a_refused_changelog_record_is_logged_and_its_offset_is_committed(
    broker: OwnBroker, plain: Plain
) -> None:
    """Ours: `test_refused_writes`, where the changelog takes nothing."""
    broker.configure(CHANGELOG, max_message_bytes=10)
    worker = plain()
    worker.start()
    send(broker, *[ADA] * 10)
    until(lambda: offset(broker) == 10, "all of it is committed")
    assert there(broker, COUNTS) == []
    assert worker.process is not None
    assert worker.process.poll() is None, "it goes on as if nothing had happened"


def test_rule_3_commits_skip_an_event_that_is_not_finished(broker: OwnBroker, plain: Plain) -> None:
    """Ours: one lane per partition, one record after the other; `test_kills`, at any moment of a transaction."""
    worker = plain()
    worker.start("two_at_once")
    send(broker, ("slow", b"wait"), *[ADA] * 10)
    until(lambda: offset(broker) == 11, "the unfinished one is committed too")
    worker.kill()
    worker.start()
    send(broker, ADA)
    until(lambda: offset(broker) == 12, "it goes on")
    assert worker.seen() == {"ada": 11}, "nobody ever finishes the slow one"


def test_rule_4_an_event_at_which_the_agent_fails_is_committed_and_gone(broker: OwnBroker, plain: Plain) -> None:
    """Ours: `test_poison`."""
    worker = plain()
    worker.start()
    send(broker, ("bad", b"raise"), ADA)
    until(lambda: offset(broker) == 2, "both are committed")
    worker.kill()
    worker.start()
    send(broker, ADA)
    until(lambda: offset(broker) == 3, "it goes on")
    assert worker.seen() == {"ada": 2}, "the bad one is nowhere"


def test_rule_5_a_commit_that_failed_is_believed(broker: OwnBroker, plain: Plain) -> None:
    """Ours: offsets are part of the transaction; `test_refused_writes`, while a replica is missing."""
    worker = plain()
    worker.start("no_commit", "tell")
    send(broker, *[ADA] * 10)
    until(lambda: worker.believes() == "10", "it believes to have committed")
    assert offset(broker) == 0


def test_rule_6_a_record_whose_acknowledgement_is_lost_is_written_twice(broker: OwnBroker, plain: Plain) -> None:
    """Ours: `test_refused_writes`, where answers are lost."""
    worker = plain()
    worker.start("lost_answer")
    send(broker, ("hello", b"say"))
    until(lambda: len(there(broker, SAID)) > 1, "it is there twice", 30)
    assert there(broker, SAID) == [b"hello"] * 2


def test_rule_7_rows_on_the_disk_are_ahead_and_events_are_counted_twice(broker: OwnBroker, plain: Plain) -> None:
    """Ours: `test_kills`, in a burst with the disk kept."""
    worker = plain()
    worker.start(settings="broker_commit_interval=3600")
    send(broker, *[ADA] * 10)
    until(lambda: worker.seen() == {"ada": 10}, "it has counted ten")
    worker.kill()
    assert offset(broker) == 0
    worker.start()
    until(lambda: worker.seen() == {"ada": 20}, "it counts them again")
    until(lambda: offset(broker) == 10, "they are committed")
    worker.kill()
    assert worker.rows() == {'"ada"': "20"}, "of ten events"


def test_rule_8_a_changelog_that_does_not_end_with_a_row_is_never_read_to_its_end(
    broker: OwnBroker, plain: Plain
) -> None:
    """Ours: `test_changelog`, whose last records were compacted away."""
    worker = plain()
    worker.start()
    send(broker, ADA)
    until(lambda: offset(broker) == 1, "it is counted")
    until(lambda: len(there(broker, COUNTS)) == 1, "and in the changelog")
    worker.kill()
    producer = KafkaProducer(bootstrap_servers=broker.kafka, transactional_id="test", **login())
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(COUNTS, b"1", key=b'"bob"', partition=0)
    producer.commit_transaction()
    producer.close()
    worker.wipe()
    worker.start()
    send(broker, ADA)
    with pytest.raises(AssertionError, match="not within"):
        until(lambda: offset(broker) == 2, "it goes on", 10)


def test_rule_9_the_defaults_of_its_rocksdb_are_those_of_a_database_that_is_alone() -> None:
    """Ours: `services.scorer.fenced.state`; `test_handovers`, a worker that gets its partition again."""
    memtables = rocksdb.DEFAULT_MAX_WRITE_BUFFER_NUMBER * rocksdb.DEFAULT_WRITE_BUFFER_SIZE
    assert (rocksdb.DEFAULT_BLOCK_CACHE_SIZE, memtables) == (2 * 2**30, 192 * 2**20)


def test_rule_9_an_iterator_that_lives_keeps_the_rows_locked(tmp_path: Path) -> None:
    """Ours: `test_handovers`, a worker that gets its partition again."""
    database = Rdict(str(tmp_path / "rows"), Options(raw_mode=True))
    database.put(b"key", b"value")
    living = database.items()
    database.close()
    with pytest.raises(Exception, match="lock hold by current process"):
        Rdict(str(tmp_path / "rows"), Options(raw_mode=True))
    del living
    Rdict(str(tmp_path / "rows"), Options(raw_mode=True)).close()


def test_rule_10_rows_that_others_deleted_are_back_with_a_disk_that_was_away(broker: OwnBroker, plain: Plain) -> None:
    """Ours: `test_changelog`, also where the changelog does not know of it any more."""
    away, other = plain("plain-0"), plain("plain-1")
    away.start()
    send(broker, ADA, ("bob", b"count"))
    until(lambda: offset(broker) == 2, "both are counted")
    away.kill()
    other.start()
    send(broker, ("ada", b"forget"))
    until(lambda: offset(broker) == 3, "one is deleted")
    other.kill()
    broker.configure_all(CLEANER)
    broker.configure(CHANGELOG, **COMPACTED_AT_ONCE)
    until(lambda: tombstones_after_another_row(broker) == 0, "the changelog does not know of it any more")
    away.start()
    send(broker, ("bob", b"count"))
    until(lambda: offset(broker) == 4, "it goes on")
    away.kill()
    assert away.rows()['"ada"'] == "1"


def test_rule_11_whoever_asks_is_given_the_tables(broker: OwnBroker, plain: Plain) -> None:
    """Ours: Faust's web server is off; health and metrics have a server of their own, which knows no rows."""
    worker = plain()
    worker.start()
    send(broker, ADA)
    until(lambda: offset(broker) == 1, "it is counted")
    answer = httpx.get(f"http://127.0.0.1:{worker.port}/table/counts/ada/", follow_redirects=True)
    assert (answer.status_code, answer.text) == (200, "1")


def test_rule_12_an_agent_that_is_stuck_is_not_noticed_and_the_lag_never_ends(broker: OwnBroker, plain: Plain) -> None:
    """Ours: `test_fenced_batches`, a worker that gets nowhere."""
    worker = plain()
    impatient = "stream_processing_timeout=1 broker_commit_livelock_soft_timeout=1"
    worker.start("watched", settings=impatient)
    send(broker, ADA)
    until(lambda: offset(broker) == 1, "it is processed")
    before, _ = worker.watched()
    until(lambda: worker.watched()[0] > before + 4, "its gauge is up to date")
    assert worker.watched()[1] == "{0: 1}", "it thinks that one is left"
    send(broker, ("slow", b"wait"), *[ADA] * 10)
    before, _ = worker.watched()
    until(lambda: worker.watched()[0] > before + 20, "its detector has looked for some 10 seconds")
    assert "timeout" not in worker.said(), "it has noticed nothing, because everything is fetched"
    assert offset(broker) == 1
