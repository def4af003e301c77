"""Reads a channel's threads into the log, page by page, with the replies that their page leaves out.

A page of threads shows some replies each; the number of replies says whether there are more than were read.

Source: https://developers.google.com/youtube/v3/docs/commentThreads/list and …/docs/comments/list
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial

import msgspec
from msgspec import Raw

from rapport.contracts.cursors import Remembered
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.youtube.checks import Checks
from services.ingest.connectors.youtube.normalise import Fingerprint, Page, Said, Thread, answers, replies, threads
from services.ingest.connectors.youtube.presence import COMMENTS, Ask, NotAllowedError, NotThereError, readable
from services.ingest.hooks.delivery import Watched
from services.ingest.polling.reading import Reading
from services.ingest.polling.sizes import Sizes

PAGE, LEAST = 100, 6
"""Items at once: at most; and where that is too much. Six threads with five replies each fit, however long they are."""
REPLY_PAGES = 10
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

    async def page(self, token: str | None) -> tuple[Page, bool]:
        """A page of threads with all their replies, in the log; and whether every thread of it was new.

        Raises as `Reader.read`, and RefusedError.
        """
        asked = {
            "part": "snippet,replies", "allThreadsRelatedToChannelId": self._channel, "order": "time",
            "textFormat": "plainText",
        }  # fmt: skip
        body = await self._page(_THREADS, asked, token)
        page = readable(partial(threads, body, self._watched(), self._find, self._now(), self._is_due), _THREADS)
        fresh = bool(page.threads) and all(self._find(each.id) is None for each in page.threads)
        due = [each for each in page.threads if self._is_due(each)]
        await self._found(page)
        for thread in due:
            try:
                await self._replies(thread)
            except (NotThereError, NotAllowedError):
                continue  # it is gone since
        return page, fresh

    def _is_due(self, thread: Thread) -> bool:
        """Whether it has replies that its page does not show, and that were not read."""
        found = self._reading.remembered(_replies_of(thread))
        return thread.more and (found is None or found.version != str(thread.replies))

    async def _replies(self, thread: Thread) -> None:
        """All replies to a thread. What the brand answers is known once all of them are."""
        said: list[Said] = []
        by_brand: list[Raw] = []
        asked = {"part": "snippet", "parentId": thread.id, "textFormat": "plainText"}
        token: str | None = None
        for _ in range(REPLY_PAGES):
            body = await self._page(COMMENTS, asked, token)
            page = readable(partial(replies, body, thread, self._watched(), self._find, self._now()), COMMENTS)
            said += page.said
            by_brand += page.by_brand
            token = page.next
            await self._found(page)
            if token is None:
                break
        count = self._remembered(_replies_of(thread), thread.conversation, None, str(thread.replies))
        await self._found(answers(by_brand, said, thread, self._watched(), self._find, self._now()), [count])

    async def _page(self, path: str, asked: Mapping[str, str], token: str | None) -> bytes:
        place = {"pageToken": token} if token else {}
        return await self._sizes.page(
            path, PAGE, LEAST, lambda limit: self._ask(path, {**asked, "maxResults": str(limit), **place})
        )

    async def _found(self, page: Page, more: Iterable[Remembered] = ()) -> None:
        """Puts what a page says into the log, and remembers what was seen, and more."""
        self._reading.tell_skipped(page, self._log)
        said = {one.object.id: one for one in page.interactions}
        things: list[Remembered] = []
        for comment, seen in page.seen.items():
            if seen == self._find(comment):
                continue
            one = said.get(comment)
            thing = self._remembered(comment, one.conversation if one else self._channel, seen, None)
            if one is not None:
                kind = "reply" if one.kind == "reply" else "comment"
                thing = msgspec.structs.replace(thing, kind=kind, actor=one.actor.id, post=one.post)
            things.append(thing)
        ordered = sorted({one.id: one for one in page.interactions}.values(), key=lambda one: one.occurred_at)
        waiting = self._checks.saw(page, ordered)
        await self._reading.found([*ordered, *waiting.back], [], [*things, *more, *waiting.things], "", None)
        self._checks.keep(waiting)

    def _remembered(self, thing: str, conversation: str, seen: Fingerprint | None, version: str | None) -> Remembered:
        return Remembered(
            account=self._reading.account.id, thing=thing, kind="comment", actor=self._channel,
            conversation=conversation, seen_at=self._now(), claim=self._reading.claim,
            version=_written(seen) if seen is not None else version,
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
