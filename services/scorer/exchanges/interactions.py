"""What an interaction changes: comments, replies and removals become facts of the thread they belong to."""

from collections.abc import Callable, Sequence
from typing import cast

from rapport.contracts.events import SPOKEN, FollowerRef, Interaction, Spoken
from rapport.domain.exchanges.exchange import Answer, Comment
from rapport.domain.exchanges.forgetting import still_named
from rapport.domain.exchanges.publication import FOLD_AFTER, Thread
from rapport.domain.policies import policy
from rapport.domain.retention import kept_until
from rapport.domain.times import ms, utc
from services.scorer.exchanges.records import exchange_record
from services.scorer.exchanges.threads import Threads
from services.scorer.fenced.batch import Batch
from services.scorer.pruning import DAY_MS
from services.scorer.rows.erased import is_erased
from services.scorer.rows.exchanges import (
    MessagesRow,
    ObjectRow,
    SpokenKind,
    WaitingReply,
    messages_key,
    object_key,
    thread_key,
)

EXCERPT = 280
"""Characters of a comment that its alert and its exchange carry; the whole text is with the interaction."""
PARENT_MAY_TAKE = 7 * DAY_MS
"""How long (ms of log time) a reply waits for the comment it answers."""
MOST_WAITING = 50
MOST_BEGUN = 50


def take_in(event: Interaction, appended: int, threads: Threads, clock: int, batch: Batch) -> bool:
    """Takes in an interaction. `appended` and `clock` in ms of log time.

    Whether somebody said something in it that was not known.
    """
    if event.staff and event.kind in SPOKEN:
        return False  # staff among themselves: nobody waits
    change = _CHANGES.get(event.kind)
    return change is not None and change(_Interaction(event, appended, threads, clock, batch))


class _Interaction:
    """One interaction on its way into the rows."""

    def __init__(self, event: Interaction, appended: int, threads: Threads, clock: int, batch: Batch) -> None:
        self._event = event
        self._appended = appended
        self._threads = threads
        self._clock = clock
        self._batch = batch

    def comment(self) -> bool:
        event, clock = self._event, self._clock
        if is_erased(self._batch, event.brand, event.platform, event.actor.id):
            return False
        key = self._key(event.object.id)
        known = self._object(key)
        if known.role is not None:
            return False  # sent twice
        at = ms(event.occurred_at)
        thread_id, linked = self._thread_of_comment()
        waiting: list[tuple[WaitingReply, str | None]] = [
            (reply, event.object.id) for reply in self._in_time(known.waiting)
        ]
        known.role, known.thread, known.follower, known.waiting = "comment", thread_id, event.actor.id, []
        known.account, known.at, known.kind = event.account, at, cast(SpokenKind, event.kind)
        removed, because = known.removed()
        self._keep(key, known)
        if event.kind == "message":
            # They answer what was written before them, of which this is perhaps nothing.
            waiting += [(reply, None) for reply in self._met_in_messages(thread_id)]
        thread = self._thread(thread_id, event.actor.id)
        if at >= thread.named_at:
            thread.named_at = at
            thread.follower = still_named(_named(event), clock)
        if at > thread.closed_until and at > clock - FOLD_AFTER:
            thread.comments.append(
                Comment(
                    id=event.object.id, kind=event.kind, at=at, appended=self._appended, account=event.account,
                    conversation=event.conversation, url=event.object.url,
                    text=event.text[:EXCERPT] if event.text else None, bot=event.actor.bot,
                    empty=policy.is_empty(event.text, event.media), removed=removed, removed_because=because,
                    kept_until=_text_until(event), received=ms(event.observed_at),
                )
            )  # fmt: skip
        self._tell_relationship(event.object.id, known, key, thread.follower)
        answered = self._answer(thread, waiting)
        if linked:
            self._note_begun(thread_id, event.actor.id)
        for object_id in [event.object.id, *answered]:
            self._adopt(object_id, thread, linked)
        self._threads.publish(thread, clock, self._batch)
        return True

    def reply(self) -> bool:
        event = self._event
        key = self._key(event.object.id)
        known = self._object(key)
        if known.role is not None:
            return False
        known.role, known.kind, known.account, known.at = "answer", "reply", event.account, ms(event.occurred_at)
        reply = WaitingReply(
            id=event.object.id, at=known.at, by=event.actor.id, appended=self._appended, automatic=event.automatic
        )
        self._keep(key, known)
        parent = None
        if event.parent is not None:
            parent_key = self._key(event.parent.id)
            parent = self._object(parent_key)
            unknown = parent.thread is None or parent.follower is None
            if unknown or parent.role == "answer":
                # Below an answer, too: that may itself count where it was named, until its parent comes.
                parent.waiting = [*parent.waiting, reply][-MOST_WAITING:]
                self._keep(parent_key, parent)
            if unknown:
                if event.parent.actor is None or event.thread is None:
                    return True
                # It counts in the thread that it names, until its parent turns out to stand in another one.
                parent = ObjectRow(thread=event.thread, follower=event.parent.actor)
        elif event.thread is not None:
            its_messages = messages_key(event.brand, event.platform, event.thread)
            messages = self._batch.row(its_messages, MessagesRow) or MessagesRow()
            if messages.follower is None:
                messages.waiting = [*messages.waiting, reply][-MOST_WAITING:]
                self._keep(its_messages, messages)
                return True
            parent = ObjectRow(thread=event.thread, follower=messages.follower)
        if parent is None or parent.thread is None or parent.follower is None:
            raise ValueError("a reply that names neither a parent nor a thread answers nobody")
        thread = self._thread(parent.thread, parent.follower)
        for object_id in self._answer(thread, [(reply, event.parent.id if event.parent else None)]):
            self._adopt(object_id, thread, event.thread is None or object_id != event.object.id)
        self._threads.publish(thread, self._clock, self._batch)
        return True

    def remove(self) -> bool:
        event = self._event
        key = self._key(event.object.id)
        known = self._object(key)
        before = known.removed()
        at = ms(event.occurred_at)
        if event.kind == "delete":
            known.deleted = at if known.deleted is None else min(known.deleted, at)
        else:
            known.change_hiding((at, event.id, event.kind == "hide"))
        self._keep(key, known)
        after = known.removed()
        if known.role is None or known.thread is None or known.follower is None or after == before:
            return False
        thread = self._thread(known.thread, known.follower)
        for comment in thread.comments:
            if comment.id == event.object.id:
                comment.removed, comment.removed_because = after
        if (before[0] is None) != (after[0] is None):
            self._tell_relationship(event.object.id, known, key, thread.follower)
        self._threads.publish(thread, self._clock, self._batch)
        return False

    def _answer(self, thread: Thread, replies: Sequence[tuple[WaitingReply, str | None]]) -> list[str]:
        """Adds replies of the brand, each with its parent, to the thread they belong to, and tells the relationship.

        Replies to them that came before are added as well. Gives the ids of all.
        """
        left = list(reversed(replies))
        added: dict[str, None] = {}
        while left:
            reply, parent = left.pop()
            if reply.id in added:
                continue  # they name each other
            added[reply.id] = None
            key = self._key(reply.id)
            known = self._batch.row(key, ObjectRow) or ObjectRow(role="answer", kind="reply", at=reply.at)
            told = known.follower == thread.follower.id
            self._take_out(known, key, reply.id, thread)
            known.thread, known.follower = thread.thread, thread.follower.id
            known.waiting = self._in_time(known.waiting)
            left += [(each, reply.id) for each in reversed(known.waiting)]
            self._keep(key, known)
            if all(answer.id != reply.id for answer in thread.answers):
                thread.answers.append(
                    Answer(id=reply.id, at=reply.at, by=reply.by, parent=parent, automatic=reply.automatic)
                )
            if not told:
                self._tell_relationship(reply.id, known, key, thread.follower)
        return list(added)

    def _take_out(self, known: ObjectRow, key: bytes, reply: str, home: Thread) -> None:
        """Takes a reply out of the thread that it named, if its parent stands in another, or is somebody else's.

        Then it was no reply to whom it named either.
        """
        if known.thread is None or known.follower is None:
            return
        if (known.thread, known.follower) == (home.thread, home.follower.id):
            return
        named = self._thread(known.thread, known.follower)
        named.answers = [answer for answer in named.answers if answer.id != reply]
        if known.follower != home.follower.id:
            self._tell_relationship(reply, known, key, named.follower, undone=True)
        self._threads.publish(named, self._clock, self._batch)

    def _in_time(self, waiting: Sequence[WaitingReply]) -> list[WaitingReply]:
        return [reply for reply in waiting if self._appended - reply.appended <= PARENT_MAY_TAKE]

    def _thread_of_comment(self) -> tuple[str, bool]:
        """The thread of a comment, and whether only links between parents say so.

        A comment whose parent is not known yet begins under the parent's id; `_adopt` brings it home.
        """
        event = self._event
        if event.thread is not None:
            return event.thread, False
        if event.parent is None:
            return event.object.id, True
        parent = self._batch.row(self._key(event.parent.id), ObjectRow)
        return (parent.thread if parent and parent.thread else event.parent.id), True

    def _note_begun(self, object_id: str, follower: str) -> None:
        """Notes whose comments begin under the id of an object that is not known yet, for when it is."""
        key = self._key(object_id)
        known = self._object(key)
        if known.thread is not None or follower in known.begun:
            return
        # Where it is full, somebody who was erased since may have left a place: that is looked for once a day.
        if len(known.begun) < MOST_BEGUN or self._clock - known.seen >= DAY_MS:
            known.begun = [*known.begun, follower]
            self._keep(key, known)

    def _adopt(self, object_id: str, home: Thread, linked: bool) -> None:
        """Brings home what began under an object's id because the object itself was not known yet.

        `linked` as in `_thread_of_comment`.
        """
        key = self._key(object_id)
        known = self._object(key)
        begun, known.begun = known.begun, []
        if begun:
            self._keep(key, known)
        if object_id == home.thread:
            return
        if linked or home.follower.id in begun or len(begun) >= MOST_BEGUN:
            self._bring(object_id, home)
        for follower in begun:
            if follower != home.follower.id:
                theirs = self._thread(home.thread, follower)
                if self._bring(object_id, theirs):
                    self._threads.publish(theirs, self._clock, self._batch)

    def _bring(self, object_id: str, home: Thread) -> bool:
        """Brings home what somebody began under an object's id; whether there was anything."""
        key = thread_key(home.brand, home.platform, object_id, home.follower.id)
        stray = self._batch.row(key, Thread)
        if stray is None:
            return False
        self._note_begun(home.thread, home.follower.id)
        for stray_id in [*(comment.id for comment in stray.comments), *(answer.id for answer in stray.answers)]:
            moved_key = self._key(stray_id)
            moved = self._batch.row(moved_key, ObjectRow)
            if moved is not None:
                moved.thread = home.thread
                self._keep(moved_key, moved)
        home.comments = [*home.comments, *stray.comments]
        home.answers = [*home.answers, *stray.answers]
        home.decisions = [*home.decisions, *stray.decisions]
        home.blocks = [*home.blocks, *stray.blocks]
        home.aways = [*home.aways, *(away for away in stray.aways if away not in home.aways)]
        home.published = [*home.published, *stray.published]
        home.sent = [*home.sent, *stray.sent]
        home.closed_until = max(home.closed_until, stray.closed_until)
        if stray.named_at > home.named_at:
            home.named_at, home.follower = stray.named_at, stray.follower
        self._threads.drop(key, self._batch)
        return True

    def _met_in_messages(self, thread: str) -> list[WaitingReply]:
        """Notes who writes in a thread of messages; the replies that waited for that."""
        key = messages_key(self._event.brand, self._event.platform, thread)
        messages = self._batch.row(key, MessagesRow) or MessagesRow()
        if messages.follower is not None:
            return []
        waiting, messages.follower, messages.waiting = messages.waiting, self._event.actor.id, []
        self._keep(key, messages)
        return waiting

    def _tell_relationship(
        self, object_id: str, known: ObjectRow, key: bytes, who: FollowerRef, undone: bool = False
    ) -> None:
        """Tells the relationship of a comment or a reply, or that it is gone or back. `undone`: it never was theirs."""
        known.revision += 1
        self._keep(key, known)
        spoken = Spoken(
            brand=self._event.brand, platform=self._event.platform, account=known.account,
            follower=still_named(who, self._clock),
            kind=known.kind, object=object_id, occurred_at=utc(known.at), revision=known.revision,
            undone=undone or known.removed()[0] is not None,
        )  # fmt: skip
        self._batch.emit(exchange_record(spoken, f"{object_id}:{known.revision}"))

    def _key(self, object_id: str) -> bytes:
        return object_key(self._event.brand, self._event.platform, object_id)

    def _object(self, key: bytes) -> ObjectRow:
        return self._batch.row(key, ObjectRow) or ObjectRow()

    def _thread(self, thread: str, follower: str) -> Thread:
        return self._threads.known(self._event.brand, self._event.platform, thread, follower, self._batch)

    def _there(self, followers: Sequence[str]) -> list[str]:
        """Those who were not erased."""
        brand, platform = self._event.brand, self._event.platform
        return [each for each in followers if not is_erased(self._batch, brand, platform, each)]

    def _keep(self, key: bytes, row: ObjectRow | MessagesRow) -> None:
        row.seen = self._clock
        if isinstance(row, ObjectRow) and row.begun:
            # Whatever keeps the row for longer keeps nobody who was erased.
            row.begun = self._there(row.begun)[:MOST_BEGUN]
        self._batch.keep(key, row)


def _named(event: Interaction) -> FollowerRef:
    """The author of an interaction, as other events name them."""
    who = event.actor
    until = kept_until(event.platform, "profiles", event.observed_at) if who.handle or who.name else None
    return FollowerRef(id=who.id, handle=who.handle, name=who.name, kept_until=until)


def _text_until(event: Interaction) -> int | None:
    until = kept_until(event.platform, "texts", event.observed_at) if event.text else None
    return None if until is None else ms(until)


_CHANGES: dict[str, Callable[[_Interaction], bool]] = {
    **dict.fromkeys(SPOKEN, _Interaction.comment),
    "reply": _Interaction.reply,
    "delete": _Interaction.remove,
    "hide": _Interaction.remove,
    "unhide": _Interaction.remove,
}
"""What changes by the kind. The others change nothing here: reactions, for instance, which are the most; or an edit,
which changes the text that the read side keeps, while the clock runs on."""
