"""Reads a channel's threads into the log, page by page, with the replies that their page leaves out.

A page of threads shows some replies each; the number of replies says whether there are more than were read. It counts
as read only where so many came.

Source: https://developers.google.com/youtube/v3/docs/commentThreads/list and …/docs/comments/list
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

import msgspec
from msgspec import Raw

from rapport.contracts.cursors import Remembered
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.youtube import PLATFORM
from services.ingest.connectors.youtube.checks import Checks
from services.ingest.connectors.youtube.normalise import (
    Fingerprint,
    Page,
    Said,
    Thread,
    answers,
    replies,
    threads,
    without_unclear,
)
from services.ingest.connectors.youtube.owed import MOST, Owed, due, owes, read, written
from services.ingest.connectors.youtube.presence import COMMENTS, Ask, NotAllowedError, NotThereError, readable
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.api import AttentionError, AwayError
from services.ingest.polling.reading import Reading
from services.ingest.polling.sizes import Sizes

PAGE, LEAST = 100, 6
"""Items at once: at most; and where that is too much. Six threads with five replies each fit, however long they are."""
REPLY_PAGES = 50
MOST_FAILED = 3
"""Where the replies to so many threads of a page cannot be read, it is not these threads."""
LIVELY = timedelta(days=3)
"""How old a thread may be to be read once a day though nothing tells of new replies: one that is deleted makes up for
one that is written, and an edit is not counted."""
RESTS = timedelta(hours=12)
"""How long it is not read for that again: the reading may break off, and begin again soon."""
_THREADS = "/youtube/v3/commentThreads"


class Comments:
    """For one account under one lease. For one event loop."""

    def __init__(
        self, reading: Reading, channel: str, watched: Callable[[], Watched], ask: Ask, checks: Checks, shared: Shared
    ) -> None:
        self._reading = reading
        self._channel = channel
        self._watched = watched
        self._ask = ask
        self._checks = checks
        self._now = shared.now
        self._log = shared.log
        self._sizes = Sizes(shared.now)

    async def page(self, token: str | None, *, deep: bool) -> Page:
        """A page of threads with all their replies, in the log.

        `deep`: also where nothing tells that there are new replies, but somebody waits for an answer, or is likely to
        get one. Where replies cannot be read, what the page shows is told, and they are asked for again later. Raises
        as `Reader.read`, and RefusedError.
        """
        asked = {
            "part": "snippet,replies", "allThreadsRelatedToChannelId": self._channel, "order": "time",
            "textFormat": "plainText",
        }  # fmt: skip
        body = await self._page(_THREADS, asked, token)
        is_due = self._is_due(deep=deep)
        page = readable(partial(threads, body, self._watched(), self._find, self._now(), is_due), _THREADS)
        tops = page.taken({each.id for each in page.apart})
        await self._found(page)
        failed = 0
        try:
            for thread in page.apart:
                failed += not await self._whole(thread, tops.taken({thread.id}), most=MOST_FAILED - failed)
        finally:
            if page.apart:
                # What their page shows of those that failed; and of others, what the list of replies left out.
                shown = partial(threads, body, self._watched(), self._find, self._now(), lambda _: False)
                await self._found(readable(shown, _THREADS))
        return page

    async def again(self) -> None:
        """Asks once more for replies that could not be read. Raises as `page`."""
        for each in due(self._owed(), self._now()):
            await self._whole(each.thread(self._channel), Page(), most=MOST_FAILED)

    def _is_due(self, *, deep: bool) -> Callable[[Thread], bool]:
        """Says which threads may have replies that their page does not show, and that were not read."""
        now = self._now()
        waits = self._checks.threads() if deep else frozenset()
        owed = self._owed()

        def is_due(thread: Thread) -> bool:
            if not thread.more:
                return False
            if thread.id in owed:
                return owed[thread.id].replies != thread.replies
            found = self._reading.remembered(_replies_of(thread))
            if thread.unseen or found is None or found.version != str(thread.replies):
                return True
            lively = thread.id in waits or (thread.at is not None and now - thread.at < LIVELY)
            return deep and lively and now - found.seen_at > RESTS

        return is_due

    async def _whole(self, thread: Thread, top: Page, *, most: int) -> bool:
        """Reads all replies to a thread; whether they could be read.

        `top` as in `_replies`; `most` is how many more may fail. Raises as `page`.
        """
        owed = dict(self._owed())
        before = owed.pop(thread.id, None)
        error: Exception | None = None
        try:
            came = await self._replies(thread, top)
        except (NotThereError, NotAllowedError) as found:
            came, error = 0, found
        except (AttentionError, AwayError) as found:
            if most <= 1 or len(owed) >= MOST:
                raise  # it is not this one thread
            came, error = 0, found
        still = owes(thread, before, self._now()) if came < thread.replies and len(owed) < MOST else None
        if still is not None:
            owed[thread.id] = still
        if error is not None:
            how = "given up" if still is None else "asked for again later"
            level = logging.ERROR if still is None else logging.INFO if before is not None else logging.WARNING
            self._log.log(
                level, "%s %s: the replies to %s cannot be read and are %s: %s",
                PLATFORM, self._reading.account.id, thread.id, how, error,
            )  # fmt: skip
        things = [] if still is not None else [self._thing(_replies_of(thread), str(thread.replies))]
        if owed != self._owed():
            things.append(self._thing(self._owed_name, written(owed.values())))
        await self._reading.found([], [], things, "", None)
        return error is None

    @property
    def _owed_name(self) -> str:
        return f"{self._channel}/owed"

    def _owed(self) -> Mapping[str, Owed]:
        found = self._reading.remembered(self._owed_name)
        return read(found.version) if found is not None else {}

    async def _replies(self, thread: Thread, whole: Page) -> int:
        """Reads the replies to a thread; how many came. What the brand answers is known once all have.

        They are told together with what `whole` says, the comment on top: after an outage its clock may have run out,
        and what answered it in time must not come later.
        """
        said: list[Said] = []
        by_brand: dict[str, Raw] = {}
        came = unread = 0
        asked = {"part": "snippet", "parentId": thread.id, "textFormat": "plainText"}
        token: str | None = None
        seen: set[str] = set()
        for _ in range(REPLY_PAGES):
            body = await self._page(COMMENTS, asked, token)
            page = readable(partial(replies, body, thread, self._watched(), self._find, self._now()), COMMENTS)
            said += page.said
            by_brand |= page.by_brand
            seen |= page.seen.keys() | page.by_brand.keys()
            unread += page.unread
            token = page.next
            whole.add(page)
            if token is None or len(seen) + unread == came:
                break
            came = len(seen) + unread
        told = answers(by_brand.values(), said, thread, self._watched(), self._find, self._now())
        whole.add(told if token is None else without_unclear(told))
        await self._found(whole)
        return len(seen) + unread

    async def _page(self, path: str, asked: Mapping[str, str], token: str | None) -> bytes:
        place = {"pageToken": token} if token else {}
        return await self._sizes.page(
            path, PAGE, LEAST, lambda limit: self._ask(path, {**asked, "maxResults": str(limit), **place})
        )

    async def _found(self, page: Page) -> None:
        """Puts what a page says into the log, and remembers what was seen."""
        self._reading.tell_skipped(page, self._log)
        said = {one.object.id: one for one in page.interactions}
        things: list[Remembered] = []
        for comment, seen in page.seen.items():
            if seen == self._find(comment):
                continue
            one = said.get(comment)
            thing = self._thing(comment, _written(seen))
            if one is not None:
                kind = "reply" if one.kind == "reply" else "comment"
                thing = msgspec.structs.replace(
                    thing, kind=kind, actor=one.actor.id, post=one.post, conversation=one.conversation
                )
            things.append(thing)
        ordered = sorted({one.id: one for one in page.interactions}.values(), key=lambda one: one.occurred_at)
        waiting = self._checks.saw(page, ordered)
        await self._reading.found([*ordered, *waiting.back], [], [*things, *waiting.things], "", None)
        self._checks.keep(waiting)

    def _thing(self, thing: str, version: str) -> Remembered:
        return Remembered(
            account=self._reading.account.id, thing=thing, kind="comment", actor=self._channel,
            conversation=self._channel, seen_at=self._now(), claim=self._reading.claim, version=version,
        )  # fmt: skip

    def _find(self, comment: str) -> Fingerprint | None:
        found = self._reading.remembered(comment)
        return _read(found.version) if found is not None and found.version is not None else None


def _replies_of(thread: Thread) -> str:
    return f"{thread.id}/replies"


def _written(seen: Fingerprint) -> str:
    return f"{seen.updated_at.isoformat() if seen.updated_at else ''} {'image' if seen.image else ''}"


def _read(version: str) -> Fingerprint:
    at, _, image = version.partition(" ")
    return Fingerprint(datetime.fromisoformat(at) if at else None, bool(image))
