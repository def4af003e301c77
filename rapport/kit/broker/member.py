"""A consumer of a group that knows whether it is a member, and acts if it is not."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from kafka import TopicPartition
from kafka.errors import CommitFailedError, KafkaError
from prometheus_client import Counter, Gauge

from rapport.kit.broker import kafka
from rapport.kit.broker.group import Act, Judge, Patience, Seen
from rapport.kit.health import Health

SESSION_MS = 10_000
"""How soon another process gets the partitions of one that died. Heartbeats are sent every 3 s."""
LOOK_SECONDS = 2.0
LOOK_SOON_SECONDS = 0.5
"""Between two looks while something is missing, as at every start."""
ANSWER_SECONDS = 7.0
"""Without a description of the group for this long, we cannot know whether we are a member."""
RETRY_SECONDS = 1.0
CLOSE_MS = 5_000
HARD_END_SECONDS = 30.0
"""How long an ending process may take; its loop may be stuck in a call."""
HARD_END_CODE = 70

MEMBER = Gauge("rapport_group_member", "1 while this process is a member of its group and all is assigned.", ["group"])
UNASSIGNED = Gauge("rapport_group_unassigned_partitions", "Partitions that nobody in the group has.", ["group"])
RENEWALS = Counter("rapport_group_renewals_total", "Consumers replaced because they had lost their group.", ["group"])

log = logging.getLogger("rapport.group")


class GroupLostError(Exception):
    """This process is not in its group, and new consumers have not helped. It should end and be restarted."""


def described(bootstrap: str, group: str) -> kafka.Asked:
    """Asks the coordinator to describe the group. Raises KafkaError, OSError."""

    def question(admin: Any) -> Seen:
        found = admin.describe_groups([group])[group]
        if found["error"] is not None and found["group_state"] != "Dead":
            raise KafkaError(found["error"])
        return Seen(found["group_state"], {each["member_id"]: _assigned(each) for each in found["members"]})

    return kafka.Asked(bootstrap, question)


def members(bootstrap: str, group: str) -> int:
    """How many members a group has. One that was killed is among them until its session ends. Raises KafkaError."""
    with contextlib.closing(described(bootstrap, group)) as asked:
        return len(asked().members)


def _assigned(member: Mapping[str, Any]) -> frozenset[tuple[str, int]]:
    # Between two assignments this is empty bytes, not decoded.
    assignment = member["member_assignment"]
    topics = assignment["assigned_partitions"] if isinstance(assignment, dict) else []
    return frozenset((topic["topic"], number) for topic in topics for number in topic["partitions"])


class GroupWatch:
    """Looks at the group every few seconds in a thread of its own, and acts on what it sees."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topics: Mapping[str, int],
        *,
        member: Callable[[], str | None],
        give_up: Callable[[str], object],
        renew: Callable[[], object] | None = None,
        patience: Patience | None = None,
    ) -> None:
        """`topics` has the number of partitions by name.

        `member` gives the id that the consumer believes to have, None while it is not trying to join. `give_up` and
        `renew` are called on the thread: end the process, replace the consumer where that is possible.
        """
        self._group = group
        self._describe = described(bootstrap, group)
        self._member = member
        self._renew = renew
        self._give_up = give_up
        partitions = [(topic, number) for topic, count in topics.items() for number in range(count)]
        self._judge = Judge(group, partitions, patience)
        self._reason: str | None = f"not a member of group {group}"
        self._looked = time.monotonic()
        self._gave_up = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {group}", daemon=True)

    def start(self, health: Health) -> None:
        """Begins to look, and reports to `health`."""
        health.check(self.reason)
        self._thread.start()

    def stop(self) -> None:
        """Stops looking."""
        self._stop.set()

    def reason(self) -> str | None:
        """Why the process does not get its records; None while it does."""
        if time.monotonic() - self._looked > ANSWER_SECONDS:
            return f"kafka does not answer about group {self._group}"
        return self._reason

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._look()
                self._stop.wait(LOOK_SECONDS if self._reason is None else LOOK_SOON_SECONDS)
        finally:
            self._describe.close()

    def _look(self) -> None:
        member = self._member()
        try:
            seen = self._describe()
        except Exception as error:  # whatever happened, there is no answer
            self._judge.unanswered()
            MEMBER.labels(self._group).set(self.reason() is None)
            log.debug("group %s: %s: %s", self._group, type(error).__name__, error)
            return
        now = time.monotonic()
        if member is None:
            self._judge.unanswered()
            self._note(f"not a member of group {self._group}", now)
            return
        standing = self._judge.look(now, member, seen)
        UNASSIGNED.labels(self._group).set(standing.unassigned)
        self._note(standing.reason, now)
        if standing.act is Act.RENEW and self._renew is not None:
            log.warning("%s; a new consumer takes over", standing.reason)
            RENEWALS.labels(self._group).inc()
            self._renew()
        elif standing.act is Act.GIVE_UP and not self._gave_up:
            self._gave_up = True
            log.critical("%s, for too long; the process ends", standing.reason)
            self._give_up(str(standing.reason))

    def _note(self, reason: str | None, now: float) -> None:
        if reason != self._reason and not self._stop.is_set():
            if reason is None:
                log.info("member of group %s", self._group)
            else:
                log.warning("not ready: %s", reason)
        MEMBER.labels(self._group).set(reason is None)
        self._reason, self._looked = reason, now


class GroupConsumer:
    """A KafkaConsumer that subscribes when its topics are there, and is replaced when it has lost its group.

    For one thread, like the consumer inside. Offsets are committed when told to. After a replacement reading goes on at
    what is committed, so what was read and not committed comes again.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        client_id: str,
        topics: Mapping[str, int],
        health: Health,
        stop: threading.Event,
        *,
        patience: Patience | None = None,
        **options: Any,
    ) -> None:
        """`topics` has the number of partitions by name; `options` are KafkaConsumer's. `stop` ends every wait."""
        self._bootstrap = bootstrap
        self._group = group
        self._client_id = client_id
        self._topics = dict(topics)
        self._stop = stop
        self._options = {"session_timeout_ms": SESSION_MS, **options}
        self._consumer: Any = None
        self._renew = threading.Event()
        self._lost: str | None = None
        self._waits_for: str | None = None
        self._tried = False
        self._closed = False
        health.check(lambda: self._waits_for)
        self._watch = GroupWatch(
            bootstrap,
            group,
            self._topics,
            member=self._member,
            renew=self._renew.set,
            give_up=self._give_up,
            patience=patience,
        )
        self._watch.start(health)

    def reason(self) -> str | None:
        """Why this process does not get its records; None while the broker says that it is a member."""
        return self._watch.reason()

    def poll(self, timeout_ms: int, **limits: Any) -> dict[TopicPartition, list[Any]]:
        """What has arrived; nothing while the broker or a topic is missing. Raises GroupLostError."""
        if self._lost is not None:
            raise GroupLostError(self._lost)
        if self._renew.is_set():
            self.restart()
        try:
            if self._consumer is None and not self._open():
                self._stop.wait(RETRY_SECONDS)
                return {}
            found: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=timeout_ms, **limits)
            return found
        except KafkaError as error:
            log.warning("group %s: %s: %.300s; starting over", self._group, type(error).__name__, error)
            self.restart()
            self._stop.wait(RETRY_SECONDS)
            return {}

    def stay(self, seconds: float) -> bool:
        """Waits, but stays a member: one that does not poll is thrown out. True if told to stop."""
        self.pause(*self.assignment())
        for partition, records in self.poll(0).items():
            # Assigned to us during this poll, so not paused yet: to be read again later.
            self.seek(partition, records[0].offset)
        return self._stop.wait(seconds)

    def restart(self) -> None:
        """Leaves the group. The next `poll` joins it again and reads on from the committed offset."""
        self._renew.clear()
        consumer = self._consumer
        if consumer is not None:
            with contextlib.suppress(KafkaError, OSError):
                consumer.close(autocommit=False, timeout_ms=CLOSE_MS)
        self._consumer = None

    def close(self) -> None:
        """Leaves the group without committing."""
        self._closed = True
        self._watch.stop()
        self.restart()

    def commit(self) -> None:
        """Commits what was polled. Raises KafkaError."""
        if self._consumer is None:
            raise CommitFailedError("the consumer was replaced; uncommitted records come again")
        self._consumer.commit()

    def assignment(self) -> set[TopicPartition]:
        """The partitions that are assigned here."""
        found: set[TopicPartition] = self._consumer.assignment() if self._consumer is not None else set()
        return found

    def paused(self) -> set[TopicPartition]:
        """The partitions that are paused."""
        found: set[TopicPartition] = self._consumer.paused() if self._consumer is not None else set()
        return found

    def pause(self, *partitions: TopicPartition) -> None:
        """Pauses partitions; ignores those no longer assigned here."""
        if here := self.assignment().intersection(partitions):
            self._consumer.pause(*here)

    def resume(self, *partitions: TopicPartition) -> None:
        """Resumes partitions; ignores those no longer assigned here."""
        if here := self.assignment().intersection(partitions):
            self._consumer.resume(*here)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Reads a partition from an offset on, if it is assigned here."""
        if partition in self.assignment():
            self._consumer.seek(partition, offset)

    def highwater(self, partition: TopicPartition) -> int | None:
        """Where a partition ended at the last fetch, if that is known."""
        found: int | None = self._consumer.highwater(partition) if partition in self.assignment() else None
        return found

    def _open(self) -> bool:
        consumer = kafka.consumer(self._bootstrap, self._group, self._client_id, **self._options)
        try:
            # A client that joins before it knows all partitions can end up outside of the group for good.
            missing = sorted(
                topic
                for topic, count in self._topics.items()
                if len(consumer.partitions_for_topic(topic) or ()) < count
            )
            if missing:
                self._tell(f"kafka lacks partitions of {', '.join(missing)}")
                consumer.close(autocommit=False, timeout_ms=CLOSE_MS)
                return False
            self._tell(None)
            self._tried = True
            consumer.subscribe(list(self._topics))
            # The leader of the group assigns the partitions that it knows of; without this, sometimes none.
            consumer.topics()
        except BaseException:
            with contextlib.suppress(KafkaError, OSError):
                consumer.close(autocommit=False, timeout_ms=CLOSE_MS)
            raise
        self._consumer = consumer
        return True

    def _tell(self, waits_for: str | None) -> None:
        if waits_for is not None and waits_for != self._waits_for:
            self._tried = False
            log.warning("group %s waits: %s", self._group, waits_for)
        self._waits_for = waits_for

    def _member(self) -> str | None:
        consumer = self._consumer
        if consumer is not None:
            return str(consumer.group_metadata().member_id)
        return "" if self._tried else None

    def _give_up(self, why: str) -> None:
        self._lost = why
        timer = threading.Timer(HARD_END_SECONDS, self._end_hard)
        timer.daemon = True  # it must not keep the process from ending
        timer.start()

    def _end_hard(self) -> None:
        if not self._closed:
            log.critical("the process did not end by itself and is killed")
            os._exit(HARD_END_CODE)
