"""The exchanges agent's handler: interactions, control records and ticks of one partition of `conversations`."""

from collections.abc import Iterator

from rapport.contracts import codec
from rapport.contracts.codec import ASKED_HEADER
from rapport.contracts.controls import (
    AccountConnected,
    AccountDisconnected,
    Decided,
    FollowerAway,
    FollowerBlocked,
    FollowerErased,
    Heartbeat,
    PersonTold,
    PolicyVersion,
    ScoringSet,
    StageTold,
)
from rapport.contracts.events import Interaction
from rapport.contracts.rows import parts_of
from rapport.contracts.topics import CONVERSATIONS, key_of, partition_of
from rapport.domain.exchanges.connection import Connection
from rapport.domain.exchanges.exchange import Away, Block, Decision
from rapport.domain.exchanges.fitting import shortened
from rapport.domain.policies import policy
from rapport.domain.times import ms
from services.scorer import lifetimes
from services.scorer.exchanges import interactions
from services.scorer.exchanges.erasures import Erasures
from services.scorer.exchanges.records import passed_on
from services.scorer.exchanges.threads import Threads
from services.scorer.fenced.agent import Record
from services.scorer.fenced.batch import Batch, decoder
from services.scorer.fenced.state import Store
from services.scorer.pruning import Pruner
from services.scorer.rows.erased import ErasedRow, erased_key
from services.scorer.rows.exchanges import (
    HEARD_KEY,
    HEARD_WITHIN,
    MESSAGES,
    OBJECTS,
    SETTINGS,
    THREADS,
    HeardRow,
    SettingsRow,
    ThreadGlance,
    VersionRef,
    policy_key,
    settings_key,
    threads_of,
)
from services.scorer.walk import Walk


class ExchangesHandler:
    """One partition. Its clock runs by the log; `Threads` knows which threads to review, and when."""

    def __init__(self, grace: int, partitions: int | None = None) -> None:
        """`grace` (ms): see `rapport.domain.exchanges.exchange.Rules`. `partitions`: by default today's number."""
        self._partitions = partitions or CONVERSATIONS.partitions
        self.threads = Threads(grace)
        self._unsettled = Walk(threads_of)
        """Through the threads of brands whose settings changed."""
        self._erasures = Erasures()
        self._pruner = Pruner(
            {
                OBJECTS: lifetimes.objects(self._erasures.know),
                MESSAGES: lifetimes.messages(self._erasures.know),
                THREADS: lifetimes.threads(),
            }
        )

    def open(self, stored: Store) -> None:
        """Prepares from the rows, and goes on with what its predecessor had not finished."""
        for _ in self.opening(stored):
            pass

    def opening(self, stored: Store) -> Iterator[None]:
        """The same, part by part."""
        yield from self.threads.opening(stored)
        settings = decoder(SettingsRow).decode
        unsettled: list[str] = []
        for chunk in stored.chunks(SETTINGS):
            unsettled += [parts_of(key)[1] for key, value in chunk if settings(value).unsettled]
            yield
        self._unsettled.open(stored, unsettled)
        self._erasures.open(stored)
        self._pruner.open(stored)

    def apply(self, record: Record, clock: int, batch: Batch) -> None:
        """Applies one record."""
        event = codec.decode(codec.type_of(record.headers), record.value)
        if isinstance(event, Interaction):
            news = interactions.take_in(shortened(event), record.timestamp, self.threads, clock, batch)
            if news and ASKED_HEADER in record.headers:
                batch.repaired[event.platform] += 1
        elif isinstance(event, PolicyVersion | AccountConnected | AccountDisconnected):
            self._change_settings(event, batch)
        elif isinstance(event, Heartbeat):
            _note_heartbeat(event, record.timestamp, batch)
        elif isinstance(event, Decided | StageTold | FollowerBlocked | FollowerAway):
            self._add_to_thread(event, clock, batch)
        elif isinstance(event, FollowerErased):
            self._erase(event, record, clock, batch)
        elif isinstance(event, ScoringSet | PersonTold):
            batch.emit(passed_on(event, record))
        self.threads.put_out_alerts(batch)

    def sweep(self, clock: int, batch: Batch) -> bool:
        """Reviews threads whose time has come; then those that an erasure or new settings concern."""
        if self._unsettled.waits_for(batch) or self._erasures.waits_for(batch):
            return True
        self.threads.review_due(clock, batch)
        more = self.threads.due(clock)
        if not more:
            # Alerts come first: a walk through a brand's threads can be long.
            more = self._walk_on(clock, batch)
        self.threads.put_out_alerts(batch)
        if not more:
            self._pruner.prune(clock, batch)
        return more or self.threads.due(clock)

    def _walk_on(self, clock: int, batch: Batch) -> bool:
        """Goes on with a walk through a brand's threads; whether there was one."""
        if self._erasures.due(clock, batch):
            if not self._erasures.waits_for(batch):
                for thread in self._erasures.threads(batch):
                    self.threads.review(thread, clock, batch)
            return True
        if not self._unsettled.is_over:
            self._review_unsettled(clock, batch)
            return True
        return False

    def _review_unsettled(self, clock: int, batch: Batch) -> None:
        """Reviews the next threads with something open of a brand whose settings changed, or notes the end."""
        brand, rows = self._unsettled.next()
        if rows is None:
            key = settings_key(brand)
            settings = batch.row(key, SettingsRow)
            if settings is not None:
                settings.unsettled = False
                batch.keep(key, settings)
            return
        glance = decoder(ThreadGlance).decode
        for key, value in rows:
            if glance(value).open:
                self.threads.review(key, clock, batch)

    def committed(self) -> None:
        """The batch is in the log."""
        self.threads.committed()
        self._unsettled.committed()
        self._erasures.committed()

    def rolled_back(self) -> None:
        """Puts everything back to what it was before the batch; walks begin again."""
        self.threads.rolled_back()
        self._unsettled.rolled_back()
        self._erasures.rolled_back()

    def _erase(self, event: FollowerErased, record: Record, clock: int, batch: Batch) -> None:
        """Notes that a follower was erased, here and, from the partition of its key, for the relationships agent."""
        key = erased_key(event.brand, event.platform, event.follower)
        if batch.row(key, ErasedRow) is None:
            self._erasures.note(event.brand, key, clock, batch)
        own = key_of(event.brand, event.platform, event.follower)
        if record.partition == partition_of(own, self._partitions):
            batch.emit(passed_on(event, record))

    def _change_settings(self, event: PolicyVersion | AccountConnected | AccountDisconnected, batch: Batch) -> None:
        """Takes settings into the state; of the same version the first wins. Then all that is open is reviewed."""
        key = settings_key(event.brand)
        settings = batch.row(key, SettingsRow) or SettingsRow()
        if isinstance(event, PolicyVersion):
            if any(known.version == event.version for known in settings.policies):
                return
            policy.check(event)
            settings.policies.append(VersionRef(version=event.version, effective_from=event.effective_from))
            batch.keep(policy_key(event.brand, event.version), event)
        else:
            connection = settings.connections.setdefault(event.account, Connection())
            connected = isinstance(event, AccountConnected)
            at = ms(event.connected_at if isinstance(event, AccountConnected) else event.disconnected_at)
            if not connection.note(at, connected=connected):
                return
        settings.unsettled = True
        batch.keep(key, settings)
        self._unsettled.begin(event.brand, batch)

    def _add_to_thread(
        self, event: Decided | StageTold | FollowerBlocked | FollowerAway, clock: int, batch: Batch
    ) -> None:
        """Adds what was decided or told to the facts of the thread it is about."""
        if event.thread is None:
            raise ValueError("a follower who is away is reported per thread here")
        thread = self.threads.known(event.brand, event.platform, event.thread, event.follower, batch)
        if isinstance(event, Decided):
            if any(known.id == event.id for known in thread.decisions):
                return
            thread.decisions.append(
                Decision(
                    exchange=event.exchange, id=event.id, at=ms(event.at), by=event.by, why=event.why,
                    spam=event.spam, undone=event.undone,
                )
            )  # fmt: skip
        elif isinstance(event, FollowerBlocked):
            if any(known.id == event.id for known in thread.blocks):
                return
            thread.blocks.append(Block(id=event.id, at=ms(event.at), lifted=event.lifted))
        elif isinstance(event, FollowerAway):
            if any(known.id == event.id for known in thread.aways):
                return
            thread.aways.append(Away(id=event.id, at=ms(event.at), how=event.how))
        else:
            for comment in thread.comments:
                if comment.id == event.comment and comment.stage is None:
                    comment.stage = event.stage
        self.threads.publish(thread, clock, batch)


def _note_heartbeat(event: Heartbeat, appended: int, batch: Batch) -> None:
    """Remembers that ingest is there, and what it lacks. A process that was silent for long is forgotten."""
    heard = batch.row(HEARD_KEY, HeardRow) or HeardRow()
    heard.by_instance = {
        name: last for name, last in heard.by_instance.items() if appended - last[0] <= HEARD_WITHIN
    } | {event.instance: (appended, event.behind)}
    batch.keep(HEARD_KEY, heard)
