"""The exchanges agent's handler: interactions, control records and ticks of one partition of `conversations`."""

import logging
from collections.abc import Iterator
from typing import cast

import msgspec
from prometheus_client import Counter

from rapport.contracts import codec
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
from rapport.contracts.events import (
    SPOKEN,
    Alert,
    ExchangeSnapshot,
    FirstComment,
    FollowerRef,
    Interaction,
    Spoken,
)
from rapport.contracts.rows import THREAD, parts_of, row_key
from rapport.contracts.topics import ALERTS, CONVERSATIONS, EXCHANGES, key_of, partition_of
from rapport.domain import policy, publication
from rapport.domain.connection import Connection
from rapport.domain.erasing import ERASED, erased_name
from rapport.domain.exchange import Answer, Away, Block, Comment, Decision, Rules
from rapport.domain.fitting import shortened
from rapport.domain.publication import FOLD_AFTER, Thread
from rapport.domain.times import ms, utc
from services.scorer import lifetimes
from services.scorer.deadlines import Deadlines
from services.scorer.erasures import Erasures
from services.scorer.fenced.agent import Record
from services.scorer.fenced.batch import Batch, Output
from services.scorer.fenced.state import Store
from services.scorer.output import EPOCH_HEADERS
from services.scorer.passage import Passage
from services.scorer.pruning import Pruner
from services.scorer.rows import (
    HEARD_WITHIN,
    BrandSettings,
    ErasedRow,
    Heard,
    Messages,
    ObjectRow,
    SpokenKind,
    VersionRef,
    Waiting,
    erased_key,
    is_erased,
)

EXCERPT = 280
"""Characters of a comment that its alert and its exchange carry; the whole text is with the interaction."""
PARENT_MAY_TAKE = 7 * 86_400_000
"""How long (ms of log time) a reply waits for the comment it answers."""
MOST_WAITING = 50
MOST_SWEPT = 25
"""Threads in one go: after an outage, when many are overdue at once, other lanes have their turn in between."""
_THREADS = row_key(THREAD)[:-1] + b","
_SETTINGS = row_key("settings")[:-1] + b","
_HEARD = row_key("heard")
_ALWAYS = Connection()


log = logging.getLogger("rapport.scorer")
STUCK = Counter("rapport_scorer_stuck_threads", "Threads whose clock stands because looking at them failed.")


class _Due(msgspec.Struct):
    """The part of a thread's row that the deadlines are rebuilt from."""

    next_at: int | None = None


class _State(msgspec.Struct):
    state: str


class _States(msgspec.Struct):
    """The part of a thread's row that says whether something in it is open."""

    published: list[_State] = []


_states = msgspec.json.Decoder(_States).decode


class ExchangesHandler:
    """One partition. Its clock runs by the log; the heap says which threads have to be looked at, and when."""

    def __init__(self, grace: int) -> None:
        """`grace` (ms): see `rapport.domain.exchange.Rules`."""
        self._grace = grace
        self._deadlines = Deadlines()
        self._alerts: list[Alert] = []
        self._clock = 0
        self._unsettled = Passage(lambda brand: row_key(THREAD, brand)[:-1] + b",")
        """The threads of brands whose settings changed."""
        self._erasures = Erasures()
        self._pruner = Pruner(
            {
                row_key("object")[:-1] + b",": lifetimes.objects(self._erasures.know),
                row_key("messages")[:-1] + b",": lifetimes.messages(self._erasures.know),
                _THREADS: lifetimes.threads(),
            }
        )

    def open(self, stored: Store) -> None:
        """Rebuilds the deadlines from the rows, and takes up what its predecessor was not through with."""
        for _ in self.opening(stored):
            pass

    def opening(self, stored: Store) -> Iterator[None]:
        """The same, part by part."""
        yield from self._deadlines.filling(_deadlines(stored))
        settings = msgspec.json.Decoder(BrandSettings).decode
        unsettled: list[str] = []
        for chunk in stored.chunks(_SETTINGS):
            unsettled += [parts_of(key)[1] for key, value in chunk if settings(value).unsettled]
            yield
        self._unsettled.open(stored, unsettled)
        self._erasures.open(stored)
        self._pruner.open(stored)

    def apply(self, record: Record, clock: int, batch: Batch) -> None:
        """Applies one record."""
        self._clock = clock
        event = codec.decode(codec.type_of(record.headers), record.value)
        if isinstance(event, Interaction):
            self._interaction(shortened(event), record.timestamp, clock, batch)
        elif isinstance(event, PolicyVersion | AccountConnected | AccountDisconnected):
            self._settle(event, batch)
        elif isinstance(event, Heartbeat):
            self._hear(event, record.timestamp, batch)
        elif isinstance(event, Decided | StageTold | FollowerBlocked | FollowerAway):
            self._decide(event, clock, batch)
        elif isinstance(event, FollowerErased):
            self._erase(event, record, batch)
        elif isinstance(event, ScoringSet | PersonTold):
            batch.emit(_handed_on(event, record))
        self._tell(batch)

    def sweep(self, clock: int, batch: Batch) -> bool:
        """Looks at threads whose time has come; then at those that an erasure or new settings concern."""
        if self._unsettled.waits_for(batch) or self._erasures.waits_for(batch):
            return True
        self._clock = clock
        for _ in range(MOST_SWEPT):
            key = self._deadlines.pop(clock)
            if key is None:
                break
            self._look(key, clock, batch)
        more = self._deadlines.due(clock)
        if not more:
            # Alerts come first: a passage can be long.
            more = self._pass(clock, batch)
        self._tell(batch)
        if not more:
            self._pruner.prune(clock, batch)
        return more or self._deadlines.due(clock)

    def _pass(self, clock: int, batch: Batch) -> bool:
        """Goes on with a passage; whether there was one."""
        if self._erasures.due(clock, batch):
            if not self._erasures.waits_for(batch):
                for thread in self._erasures.threads(batch):
                    self._look(thread, clock, batch)
            return True
        if not self._unsettled.is_over:
            self._resettle(clock, batch)
            return True
        return False

    def _resettle(self, clock: int, batch: Batch) -> None:
        """Looks at the next threads of a brand whose settings changed, those with something open; or notes the end."""
        brand, found = self._unsettled.next()
        if found is None:
            key = row_key("settings", brand)
            settings = batch.row(key, BrandSettings)
            if settings is not None:
                settings.unsettled = False
                batch.keep(key, settings)
            return
        for key, value in found:
            if any(each.state == "open" for each in _states(value).published):
                self._look(key, clock, batch)

    def _erase(self, event: FollowerErased, record: Record, batch: Batch) -> None:
        """Notes that a follower was erased, here and, from the partition of its key, for the relationships agent."""
        key = erased_key(event.brand, erased_name(event.brand, event.platform, event.follower))
        if batch.row(key, ErasedRow) is None:
            self._erasures.note(event.brand, key, self._clock, batch)
        own = key_of(event.brand, event.platform, event.follower)
        if record.partition == partition_of(own, CONVERSATIONS.partitions):
            batch.emit(_handed_on(event, record))

    def _look(self, key: bytes, clock: int, batch: Batch) -> None:
        """Looks at one thread. A fault of ours in it must not stop every clock behind it."""
        row = batch.row(key, Thread)
        if row is None:
            return
        try:
            self._publish(row, clock, batch)
        except codec.NewerError:
            raise
        except Exception:
            log.exception("%r cannot be looked at; its clock stands until something happens in it", key)
            STUCK.inc()

    def committed(self) -> None:
        """What was noted stays."""
        self._deadlines.committed()
        self._unsettled.committed()
        self._erasures.committed()

    def rolled_back(self) -> None:
        """Puts everything back to what it was before the batch; what is gone through begins anew."""
        self._deadlines.rolled_back()
        self._alerts.clear()
        self._unsettled.rolled_back()
        self._erasures.rolled_back()

    def _interaction(self, event: Interaction, appended: int, clock: int, batch: Batch) -> None:
        if event.staff and event.kind in SPOKEN:
            return  # among themselves: nobody waits
        if event.kind in SPOKEN:
            self._comment(event, appended, clock, batch)
        elif event.kind == "reply":
            self._reply(event, appended, clock, batch)
        elif event.kind in ("delete", "hide", "unhide"):
            self._remove(event, clock, batch)
        # An edit changes the text, which the read side keeps; the clock runs on.

    def _comment(self, event: Interaction, appended: int, clock: int, batch: Batch) -> None:
        if is_erased(batch, event.brand, event.platform, event.actor.id):
            return
        key = row_key("object", event.brand, event.platform, event.object.id)
        known = batch.row(key, ObjectRow) or ObjectRow()
        if known.role is not None:
            return  # sent twice
        at = ms(event.occurred_at)
        thread, linked = self._thread_of(event, batch)
        waiting = [reply for reply in known.waiting if appended - reply.appended <= PARENT_MAY_TAKE]
        removed, because = known.removed()
        known.role, known.thread, known.follower, known.waiting = "comment", thread, event.actor.id, []
        known.account, known.at, known.kind = event.account, at, cast(SpokenKind, event.kind)
        self._keep(key, known, batch)
        if event.kind == "message":
            waiting += self._met_in_messages(event, thread, batch)
        row = self._row(event.brand, event.platform, thread, event.actor.id, batch)
        if at >= row.named_at:
            row.named_at = at
            row.follower = FollowerRef(id=event.actor.id, handle=event.actor.handle, name=event.actor.name)
        if at > row.closed_until and at > clock - FOLD_AFTER:
            row.comments.append(
                Comment(
                    id=event.object.id, kind=event.kind, at=at, appended=appended, account=event.account,
                    conversation=event.conversation, url=event.object.url,
                    text=event.text[:EXCERPT] if event.text else None, bot=event.actor.bot,
                    empty=policy.is_empty(event.text, event.media), removed=removed, removed_because=because,
                )
            )  # fmt: skip
        self._speak(event.brand, event.platform, event.object.id, known, key, row.follower, batch)
        for reply in waiting:
            self._answered(row, reply, event.object.id, batch)
        if linked:
            for known_now in [event.object.id, *(reply.id for reply in waiting)]:
                self._adopt(known_now, row, batch)
        self._publish(row, clock, batch)

    def _reply(self, event: Interaction, appended: int, clock: int, batch: Batch) -> None:
        key = row_key("object", event.brand, event.platform, event.object.id)
        known = batch.row(key, ObjectRow) or ObjectRow()
        if known.role is not None:
            return
        known.role, known.kind, known.account, known.at = "answer", "reply", event.account, ms(event.occurred_at)
        reply = Waiting(
            id=event.object.id, at=known.at, by=event.actor.id, appended=appended, automatic=event.automatic
        )
        self._keep(key, known, batch)
        parent = None
        if event.parent is not None:
            parent_key = row_key("object", event.brand, event.platform, event.parent.id)
            parent = batch.row(parent_key, ObjectRow) or ObjectRow()
            if parent.thread is None and event.parent.actor is not None and event.thread is not None:
                parent = ObjectRow(thread=event.thread, follower=event.parent.actor)
            elif parent.thread is None or parent.follower is None:
                parent.waiting = [*parent.waiting, reply][-MOST_WAITING:]
                self._keep(parent_key, parent, batch)
                return
        elif event.thread is not None:
            messages_key = row_key("messages", event.brand, event.platform, event.thread)
            messages = batch.row(messages_key, Messages) or Messages()
            if messages.follower is None:
                messages.waiting = [*messages.waiting, reply][-MOST_WAITING:]
                self._keep(messages_key, messages, batch)
                return
            parent = ObjectRow(thread=event.thread, follower=messages.follower)
        if parent is None or parent.thread is None or parent.follower is None:
            raise ValueError("a reply that names neither a parent nor a thread answers nobody")
        row = self._row(event.brand, event.platform, parent.thread, parent.follower, batch)
        self._answered(row, reply, event.parent.id if event.parent else None, batch)
        if event.thread is None:
            self._adopt(event.object.id, row, batch)
        self._publish(row, clock, batch)

    def _answered(self, row: Thread, reply: Waiting, parent: str | None, batch: Batch) -> None:
        """Adds a reply of the brand to the thread it belongs to, and tells the relationship."""
        key = row_key("object", row.brand, row.platform, reply.id)
        known = batch.row(key, ObjectRow) or ObjectRow(role="answer", kind="reply", at=reply.at)
        known.thread, known.follower = row.thread, row.follower.id
        self._keep(key, known, batch)
        if all(answer.id != reply.id for answer in row.answers):
            row.answers.append(Answer(id=reply.id, at=reply.at, by=reply.by, parent=parent, automatic=reply.automatic))
        self._speak(row.brand, row.platform, reply.id, known, key, row.follower, batch)

    def _remove(self, event: Interaction, clock: int, batch: Batch) -> None:
        key = row_key("object", event.brand, event.platform, event.object.id)
        known = batch.row(key, ObjectRow) or ObjectRow()
        before = known.removed()
        at = ms(event.occurred_at)
        if event.kind == "delete":
            known.deleted = at if known.deleted is None else min(known.deleted, at)
        else:
            version = (at, event.id, event.kind == "hide")
            known.hidden = version if known.hidden is None else max(known.hidden, version)
        self._keep(key, known, batch)
        after = known.removed()
        if known.role is None or known.thread is None or known.follower is None or after == before:
            return
        row = self._row(event.brand, event.platform, known.thread, known.follower, batch)
        for comment in row.comments:
            if comment.id == event.object.id:
                comment.removed, comment.removed_because = after
        if (before[0] is None) != (after[0] is None):
            self._speak(event.brand, event.platform, event.object.id, known, key, row.follower, batch)
        self._publish(row, clock, batch)

    def _thread_of(self, event: Interaction, batch: Batch) -> tuple[str, bool]:
        """The thread of a comment, and whether only links between parents say so.

        A comment whose parent is not known yet begins under the parent's id; `_adopt` brings it home.
        """
        if event.thread is not None:
            return event.thread, False
        if event.parent is None:
            return event.object.id, True
        parent = batch.row(row_key("object", event.brand, event.platform, event.parent.id), ObjectRow)
        return (parent.thread if parent and parent.thread else event.parent.id), True

    def _adopt(self, object_id: str, home: Thread, batch: Batch) -> None:
        """Brings home what began under an object's id because the object itself was not known yet."""
        if object_id == home.thread:
            return
        key = row_key(THREAD, home.brand, home.platform, object_id, home.follower.id)
        stray = batch.row(key, Thread)
        if stray is None:
            return
        for stray_id in [*(comment.id for comment in stray.comments), *(answer.id for answer in stray.answers)]:
            moved_key = row_key("object", home.brand, home.platform, stray_id)
            moved = batch.row(moved_key, ObjectRow)
            if moved is not None:
                moved.thread = home.thread
                self._keep(moved_key, moved, batch)
        home.comments = [*home.comments, *stray.comments]
        home.answers = [*home.answers, *stray.answers]
        home.decisions = [*home.decisions, *stray.decisions]
        home.blocks = [*home.blocks, *stray.blocks]
        home.aways = [*home.aways, *(each for each in stray.aways if each not in home.aways)]
        home.published = [*home.published, *stray.published]
        home.sent = [*home.sent, *stray.sent]
        home.closed_until = max(home.closed_until, stray.closed_until)
        if stray.named_at > home.named_at:
            home.named_at, home.follower = stray.named_at, stray.follower
        batch.drop(key)
        self._deadlines.note(key, None)

    def _met_in_messages(self, event: Interaction, thread: str, batch: Batch) -> list[Waiting]:
        key = row_key("messages", event.brand, event.platform, thread)
        messages = batch.row(key, Messages) or Messages()
        if messages.follower is not None:
            return []
        waiting, messages.follower, messages.waiting = messages.waiting, event.actor.id, []
        self._keep(key, messages, batch)
        return waiting

    def _keep(self, key: bytes, row: ObjectRow | Messages, batch: Batch) -> None:
        row.seen = self._clock
        batch.keep(key, row)

    def _row(self, brand: str, platform: str, thread: str, follower: str, batch: Batch) -> Thread:
        found = batch.row(row_key(THREAD, brand, platform, thread, follower), Thread)
        return found or Thread(brand=brand, platform=platform, thread=thread, follower=FollowerRef(id=follower))

    def _publish(self, row: Thread, clock: int, batch: Batch) -> None:
        """Brings the row up to its facts, stores it, and puts out what there is to say."""
        if is_erased(batch, row.brand, row.platform, row.follower.id):
            self._withdraw(row, batch)
            return
        settings = batch.row(row_key("settings", row.brand), BrandSettings) or BrandSettings()

        def terms_of(comment: Comment) -> policy.Terms:
            ref = policy.in_force(settings.policies, comment.at)
            version = None if ref is None else batch.row(_policy_key(row.brand, ref.version), PolicyVersion)
            return policy.terms(
                () if version is None else (version,),
                policy.Subject(
                    at=comment.at, platform=row.platform, kind=comment.kind, account=comment.account,
                    text=comment.text, bot=comment.bot, empty=comment.empty, stage=comment.stage,
                ),
            )  # fmt: skip

        def connection(comment: Comment) -> Connection:
            return settings.connections.get(comment.account, _ALWAYS)

        def unconfirmed(account: str) -> bool:
            return (batch.row(_HEARD, Heard) or Heard()).silent_about(account, clock)

        rules = Rules(
            terms_of=terms_of,
            backfilled=lambda comment: not connection(comment).live(comment.at),
            disconnected=lambda comment: connection(comment).ended_after(comment.at),
            grace=self._grace,
        )
        said = publication.publish(row, rules, clock, unconfirmed)
        key = row_key(THREAD, row.brand, row.platform, row.thread, row.follower.id)
        batch.keep(key, row)
        self._deadlines.note(key, row.next_at)
        for snapshot in said.snapshots:
            batch.emit(_exchange_record(snapshot, f"{snapshot.id}:{snapshot.revision}"))
        self._alerts += said.alerts

    def _withdraw(self, row: Thread, batch: Batch) -> None:
        """Drops the thread of an erased follower. What was open ends, without a word of what was said."""
        key = row_key(THREAD, row.brand, row.platform, row.thread, row.follower.id)
        batch.drop(key)
        self._deadlines.note(key, None)
        for before in row.published:
            if before.state == "open":
                ended = msgspec.structs.replace(
                    before, state="cancelled", cancelled_because=ERASED, revision=before.revision + 1,
                    follower=FollowerRef(id=row.follower.id), first=FirstComment(id=ERASED),
                )  # fmt: skip
                batch.emit(_exchange_record(ended, f"{ended.id}:{ended.revision}"))

    def _tell(self, batch: Batch) -> None:
        """Puts the alerts of a record out, those that were due first in front."""
        for alert in sorted(self._alerts, key=lambda alert: (alert.due_at, alert.id)):
            batch.emit(_alert_record(alert))
        self._alerts.clear()

    def _speak(
        self, brand: str, platform: str, object_id: str, known: ObjectRow, key: bytes, who: FollowerRef, batch: Batch
    ) -> None:
        """Tells the relationship of a comment or a reply, or that it is gone or back."""
        known.revision += 1
        self._keep(key, known, batch)
        spoken = Spoken(
            brand=brand, platform=platform, account=known.account, follower=who, kind=known.kind, object=object_id,
            occurred_at=utc(known.at), revision=known.revision, undone=known.removed()[0] is not None,
        )  # fmt: skip
        batch.emit(_exchange_record(spoken, f"{object_id}:{known.revision}"))

    def _settle(self, event: PolicyVersion | AccountConnected | AccountDisconnected, batch: Batch) -> None:
        """Takes settings into the state; of the same version the first wins. Then all that is open is looked at."""
        key = row_key("settings", event.brand)
        settings = batch.row(key, BrandSettings) or BrandSettings()
        if isinstance(event, PolicyVersion):
            if any(known.version == event.version for known in settings.policies):
                return
            policy.check(event)
            settings.policies.append(VersionRef(version=event.version, effective_from=event.effective_from))
            batch.keep(_policy_key(event.brand, event.version), event)
        else:
            connection = settings.connections.setdefault(event.account, Connection())
            connected = isinstance(event, AccountConnected)
            at = ms(event.connected_at if isinstance(event, AccountConnected) else event.disconnected_at)
            if not connection.note(at, connected=connected):
                return
        settings.unsettled = True
        batch.keep(key, settings)
        self._unsettled.begin(event.brand, batch)

    def _hear(self, event: Heartbeat, appended: int, batch: Batch) -> None:
        """Remembers that ingest is there, and what it lacks. Who has not been heard of for long is forgotten."""
        heard = batch.row(_HEARD, Heard) or Heard()
        heard.by_instance = {
            name: said for name, said in heard.by_instance.items() if appended - said[0] <= HEARD_WITHIN
        } | {event.instance: (appended, event.behind)}
        batch.keep(_HEARD, heard)

    def _decide(self, event: Decided | StageTold | FollowerBlocked | FollowerAway, clock: int, batch: Batch) -> None:
        """Adds what was decided or told to the facts of the thread it is about."""
        if event.thread is None:
            raise ValueError("a follower who is away is told of by thread here")
        row = self._row(event.brand, event.platform, event.thread, event.follower, batch)
        if isinstance(event, Decided):
            if any(known.id == event.id for known in row.decisions):
                return
            row.decisions.append(
                Decision(
                    exchange=event.exchange, id=event.id, at=ms(event.at), by=event.by, why=event.why,
                    spam=event.spam, undone=event.undone,
                )
            )  # fmt: skip
        elif isinstance(event, FollowerBlocked):
            if any(known.id == event.id for known in row.blocks):
                return
            row.blocks.append(Block(id=event.id, at=ms(event.at), lifted=event.lifted))
        elif isinstance(event, FollowerAway):
            if any(known.id == event.id for known in row.aways):
                return
            row.aways.append(Away(id=event.id, at=ms(event.at), how=event.how))
        else:
            for comment in row.comments:
                if comment.id == event.comment and comment.stage is None:
                    comment.stage = event.stage
        self._publish(row, clock, batch)


def _policy_key(brand: str, version: int) -> bytes:
    return row_key("policy", brand, str(version))


def _deadlines(stored: Store) -> Iterator[list[tuple[bytes, int]]]:
    decode = msgspec.json.Decoder(_Due).decode
    for chunk in stored.chunks(_THREADS):
        yield [(key, next_at) for key, value in chunk if (next_at := decode(value).next_at) is not None]


def _exchange_record(event: ExchangeSnapshot | Spoken, id: str) -> Output:
    key = key_of(event.brand, event.platform, event.follower.id)
    return Output(
        topic=EXCHANGES.name,
        partition=partition_of(key, EXCHANGES.partitions),
        key=key,
        value=codec.encode(event),
        headers=(*codec.headers("rapport.exchange.v1", id=id, source="/rapport/scorer"), *EPOCH_HEADERS),
    )


def _alert_record(alert: Alert) -> Output:
    key = key_of(alert.brand)
    return Output(
        topic=ALERTS.name,
        partition=partition_of(key, ALERTS.partitions),
        key=key,
        value=codec.encode(alert),
        headers=tuple(codec.headers("rapport.alert.v1", id=alert.id, source="/rapport/scorer")),
    )


def _handed_on(event: ScoringSet | PersonTold | FollowerErased, record: Record) -> Output:
    """For the relationships agent: numbers into its own partition, which every partition does; a person's news home."""
    partition, key = record.partition, record.key or b""
    if isinstance(event, PersonTold | FollowerErased):
        key = key_of(event.brand, event.platform, event.follower)
        partition = partition_of(key, EXCHANGES.partitions)
    headers = codec.headers("rapport.control.v1", id="handed-on", source="/rapport/scorer")
    return Output(EXCHANGES.name, partition, key, codec.encode(event), tuple(headers))
