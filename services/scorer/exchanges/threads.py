"""The threads of one partition: brought up to their facts, stored, and published when something changed or is due."""

import logging
from collections.abc import Iterator

import msgspec
from prometheus_client import Counter

from rapport.contracts import codec
from rapport.contracts.controls import PolicyVersion
from rapport.contracts.events import Alert, FirstComment, FollowerRef
from rapport.domain.erasing import ERASED
from rapport.domain.exchanges import publication
from rapport.domain.exchanges.connection import Connection
from rapport.domain.exchanges.exchange import Comment, Rules
from rapport.domain.exchanges.publication import Thread
from rapport.domain.policies import policy
from rapport.kit import tracing
from rapport.kit.log import pseudonym
from services.scorer.exchanges.deadlines import Deadlines
from services.scorer.exchanges.records import alert_record, exchange_record
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import Store
from services.scorer.rows.erased import is_erased
from services.scorer.rows.exchanges import (
    HEARD_KEY,
    THREADS,
    HeardRow,
    SettingsRow,
    ThreadDue,
    policy_key,
    settings_key,
    thread_key,
)

MOST_REVIEWED = 25
"""Threads in one go: after an outage, when many are overdue at once, other lanes have their turn in between."""
_ALWAYS_CONNECTED = Connection()

log = logging.getLogger("rapport.scorer")
STUCK = Counter("rapport_scorer_stuck_threads", "Threads whose clock stands because reviewing them failed.")


class Threads:
    """Publishes threads, and knows which one is due next."""

    def __init__(self, grace: int) -> None:
        """`grace` (ms): see `rapport.domain.exchanges.exchange.Rules`."""
        self._grace = grace
        self._deadlines = Deadlines()
        self._alerts: list[Alert] = []

    def opening(self, stored: Store) -> Iterator[None]:
        """Rebuilds the deadlines from the rows, part by part."""
        yield from self._deadlines.filling(_deadlines(stored))

    def known(self, brand: str, platform: str, thread: str, follower: str, batch: Batch) -> Thread:
        """A follower's thread; an empty one where there is none yet."""
        found = batch.row(thread_key(brand, platform, thread, follower), Thread)
        return found or Thread(brand=brand, platform=platform, thread=thread, follower=FollowerRef(id=follower))

    def publish(self, thread: Thread, clock: int, batch: Batch) -> None:
        """Brings a thread up to its facts, stores it, and puts out what changed."""
        if is_erased(batch, thread.brand, thread.platform, thread.follower.id):
            self._withdraw(thread, batch)
            return
        said = publication.publish(
            thread,
            self._rules(thread, batch),
            clock,
            lambda account: (batch.row(HEARD_KEY, HeardRow) or HeardRow()).silent_about(account, clock),
        )
        key = thread_key(thread.brand, thread.platform, thread.thread, thread.follower.id)
        batch.keep(key, thread)
        self._deadlines.note(key, thread.next_at)
        for snapshot in said.snapshots:
            batch.emit(exchange_record(snapshot, f"{snapshot.id}:{snapshot.revision}"))
        self._alerts += said.alerts

    def _rules(self, thread: Thread, batch: Batch) -> Rules:
        settings = batch.row(settings_key(thread.brand), SettingsRow) or SettingsRow()

        def version_for(comment: Comment) -> PolicyVersion | None:
            ref = policy.in_force(settings.policies, comment.at)
            return None if ref is None else batch.row(policy_key(thread.brand, ref.version), PolicyVersion)

        terms: dict[str, policy.Terms] = {}

        def terms_of(comment: Comment) -> policy.Terms:
            # Asked several times for each comment, and the same each time.
            known = terms.get(comment.id)
            if known is None:
                subject = policy.Subject(
                    at=comment.at, platform=thread.platform, kind=comment.kind, account=comment.account,
                    text=comment.text or comment.heard, bot=comment.bot, empty=comment.empty, stage=comment.stage,
                )  # fmt: skip
                known = terms[comment.id] = policy.terms_by(version_for(comment), subject)
            return known

        def words_of(comment: Comment) -> list[str]:
            version = version_for(comment)
            return [] if version is None else [word for rule in version.rules for word in rule.when.words or ()]

        def connection(comment: Comment) -> Connection:
            return settings.connections.get(comment.account, _ALWAYS_CONNECTED)

        return Rules(
            terms_of=terms_of,
            backfilled=lambda comment: not connection(comment).live(comment.at),
            disconnected=lambda comment: connection(comment).ended_after(comment.at),
            grace=self._grace,
            words_of=words_of,
        )

    def _withdraw(self, thread: Thread, batch: Batch) -> None:
        """Drops the thread of an erased follower. What was open is cancelled; nothing of what was said is repeated."""
        self.drop(thread_key(thread.brand, thread.platform, thread.thread, thread.follower.id), batch)
        for before in thread.published:
            if before.state == "open":
                ended = msgspec.structs.replace(
                    before, state="cancelled", cancelled_because=ERASED, revision=before.revision + 1,
                    follower=FollowerRef(id=thread.follower.id), first=FirstComment(id=ERASED),
                )  # fmt: skip
                batch.emit(exchange_record(ended, f"{ended.id}:{ended.revision}"))

    def drop(self, key: bytes, batch: Batch) -> None:
        """Deletes the row of a thread."""
        batch.drop(key)
        self._deadlines.note(key, None)

    def review(self, key: bytes, clock: int, batch: Batch) -> None:
        """Publishes what time or settings changed in a thread. A fault of ours in it must not stop other clocks."""
        thread = batch.row(key, Thread)
        if thread is None:
            return
        try:
            self.publish(thread, clock, batch)
        except codec.NewerError:
            raise
        except Exception:
            log.exception(
                "thread %s cannot be reviewed; its clock stands until something happens in it", pseudonym(key)
            )
            STUCK.inc()

    def review_due(self, clock: int, batch: Batch) -> None:
        """Reviews the threads that are due first."""
        for _ in range(MOST_REVIEWED):
            key = self._deadlines.pop(clock)
            if key is None:
                break
            self.review(key, clock, batch)

    def due(self, clock: int) -> bool:
        """Whether a thread is due."""
        return self._deadlines.due(clock)

    def put_out_alerts(self, batch: Batch) -> None:
        """Puts out the alerts of one record, those that were due first in front."""
        for alert in sorted(self._alerts, key=lambda alert: (alert.due_at, alert.id)):
            origin = tracing.origin(alert.brand, alert.platform, alert.first.id)
            span = batch.begin("decide", origin, step=alert.step, exchange=alert.exchange)
            batch.emit(alert_record(alert), span)
        self._alerts.clear()

    def committed(self) -> None:
        """The batch is in the log."""
        self._deadlines.committed()

    def rolled_back(self) -> None:
        """Puts everything back to what it was before the batch."""
        self._deadlines.rolled_back()
        self._alerts.clear()


def _deadlines(stored: Store) -> Iterator[list[tuple[bytes, int]]]:
    decode = msgspec.json.Decoder(ThreadDue).decode
    for chunk in stored.chunks(THREADS):
        yield [(key, next_at) for key, value in chunk if (next_at := decode(value).next_at) is not None]
