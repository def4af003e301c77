"""Answers and hidings for a YouTube channel. They need a token of the channel's owner; reading needs the key alone.

Source: https://developers.google.com/youtube/v3/docs/comments/insert, …/list and …/setModerationStatus
"""

from collections.abc import Sequence
from urllib.parse import quote

import httpx
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rapport.contracts.errands import Errand
from rapport.contracts.events import Account
from rapport.domain.errands import longest_answer
from rapport.domain.figures import number
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.youtube import PLATFORM
from services.ingest.connectors.youtube.comments import LEAST, PAGE
from services.ingest.connectors.youtube.connector import ANSWERED_SECONDS, exhausting
from services.ingest.connectors.youtube.connector import refused as refused_reading
from services.ingest.connectors.youtube.normalise import handle_of, named
from services.ingest.connectors.youtube.presence import COMMENTS, NotThereError
from services.ingest.connectors.youtube.settings import YoutubeSettings
from services.ingest.errands.listed import Own, Page, look, when
from services.ingest.errands.speaker import Done, MakeSpeaker, Speaker
from services.ingest.errands.words import GONE, read, refusal
from services.ingest.hooks.delivery import iso_time_of
from services.ingest.polling.api import Api, AttentionError, AwayError, RefusedError, Turns
from services.ingest.polling.quota import Quota
from services.ingest.polling.sizes import Sizes

WRITING = 50
"""Units of the project's quota that one answer, or one hiding, costs."""
_UNSEEN = dict.fromkeys(map(ord, "\u200b\u2060"))
"""What YouTube may put around a handle."""
_GONE = {"commentNotFound", "parentCommentNotFound", "videoNotFound", "parentCommentIsPrivate"}


def speakers(settings: YoutubeSettings, quota: Quota, shared: Shared) -> MakeSpeaker:
    """What speaks for channels that have a token. `quota` is the project's, which reading spends too."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns()

    def make(account: Account) -> Speaker | None:
        token = account.connection.get("token")
        if not token:
            return None
        headers = {"Authorization": f"Bearer {token}"}
        reading, writing = (
            Api(http, PLATFORM, settings.youtube_api, headers, budget, turns, shared.now, exhausting(quota, _refused))
            for budget in (quota, quota.writing(WRITING, account.id))
        )
        return YoutubeSpeaker(reading, writing, account.connection["channel"].strip(), Sizes(shared.now))

    return make


class _Channel(Struct):
    value: str = ""


class _Snippet(Struct, rename="camel", frozen=True):
    text_original: str | None = None
    text_display: str | None = None
    author_channel_id: _Channel | None = None
    author_display_name: str | None = None
    """Mostly a handle."""
    published_at: str | None = None


class _Comment(Struct):
    id: str
    snippet: _Snippet = _Snippet()


class _Comments(Struct, rename="camel"):
    next_page_token: str = ""
    items: Sequence[_Comment] = ()


class _Reason(Struct):
    reason: str = ""
    message: str | None = None


class _Errors(Struct):
    message: str | None = None
    errors: Sequence[_Reason] = ()


class _Refusal(Struct):
    error: _Errors


class YoutubeSpeaker:
    """A Speaker."""

    def __init__(self, reading: Api, writing: Api, channel: str, sizes: Sizes) -> None:
        self._reading = reading
        self._writing = writing
        self._channel = channel
        self._sizes = sizes

    async def find(self, errand: Errand) -> Done | None:
        """See Speaker."""
        addressed = await self._addressed(errand)
        sought = replace(addressed, text=(addressed.text or "").translate(_UNSEEN))
        query = {"part": "snippet", "parentId": _thread(errand), "textFormat": "plainText"}

        async def page(token: str | None) -> Page:
            place = {"pageToken": token} if token else {}
            body = await self._sizes.page(
                COMMENTS,
                PAGE,
                LEAST,
                lambda limit: self._reading.get(COMMENTS, {**query, "maxResults": str(limit), **place}),
            )
            found = read(body, _Comments)
            own = [_own(one, errand) for one in found.items if self._is_ours(one)]
            return Page(own, found.next_page_token or None)

        found = await look(sought, page)
        if found is None and addressed.text != errand.text:
            # An earlier version sent it without the handle.
            found = await look(replace(errand, text=(errand.text or "").translate(_UNSEEN)), page)
        return found

    def _is_ours(self, one: _Comment) -> bool:
        author = one.snippet.author_channel_id
        return author is not None and author.value == self._channel

    async def do(self, errand: Errand) -> Done:
        """See Speaker."""
        match errand.deed:
            case "answer":
                text = (await self._addressed(errand)).text or ""
                if len(text) > (most := longest_answer(PLATFORM)):
                    raise RefusedError(
                        f"together with the handle of the person it answers, it has {number(len(text))} characters; "
                        f"YouTube takes {number(most)}"
                    )
                said = {"snippet": {"parentId": _thread(errand), "textOriginal": text}}
                body = msgspec.json.encode(said)
                made = await self._writing.post(COMMENTS, body, {"part": "snippet"}, kind="application/json")
                return _answer(read(made, _Comment), errand)
            case "hide" | "unhide":
                status = "heldForReview" if errand.deed == "hide" else "published"
                query = {"id": errand.thing, "moderationStatus": status}
                await self._writing.post(f"{COMMENTS}/setModerationStatus", b"", query)
                return Done()
        raise RefusedError("YouTube has no way to like a comment from here")

    async def _addressed(self, errand: Errand) -> Errand:
        """The same, beginning with the handle of whose reply it answers, as YouTube writes it.

        Nothing else says whom it answers. Raises as `do`.
        """
        if errand.thing == _thread(errand):
            return errand
        body = await self._reading.get(COMMENTS, {"part": "snippet", "id": errand.thing, "textFormat": "plainText"})
        theirs = next((one.snippet for one in read(body, _Comments).items if one.id == errand.thing), None)
        if theirs is None:
            raise RefusedError(GONE)
        text, handle = errand.text or "", handle_of(theirs.author_display_name or "")
        if handle is None or named(text) == named(f"@{handle}"):
            return errand
        return replace(errand, text=f"@{handle} {text}")


def _thread(errand: Errand) -> str:
    """The first comment of its thread: replies have its id, a dot, and their own. Only that one can be answered."""
    return errand.thing.partition(".")[0]


def _own(one: _Comment, errand: Errand) -> Own:
    its = one.snippet
    at = when(lambda: iso_time_of(its.published_at))
    text = its.text_original or its.text_display or ""
    return Own(_answer(one, errand), text.translate(_UNSEEN), at)


def _answer(made: _Comment, errand: Errand) -> Done:
    url = f"https://www.youtube.com/watch?v={quote(errand.post)}&lc={quote(made.id)}" if errand.post else None
    return Done(made.id, url)


def _refused(status: int, body: bytes) -> Exception | None:
    try:
        error = msgspec.json.decode(body, type=_Refusal).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    reasons = {each.reason for each in error.errors}
    if "processingFailure" in reasons or status == httpx.codes.CONFLICT:
        # Its own failure: it does not say that nothing was written.
        return AwayError("it could not process what it was sent", incident=True)
    known = refused_reading(status, body)
    if known is not None and not isinstance(known, AttentionError | NotThereError):
        return known
    if reasons & _GONE:
        return RefusedError(GONE)
    if "insufficientPermissions" in reasons or "ACCESS_TOKEN_SCOPE_INSUFFICIENT" in (error.message or ""):
        return AttentionError("its token may not write; it needs the scope youtube.force-ssl")
    if status == httpx.codes.UNAUTHORIZED or status >= 500:
        return known
    return RefusedError(refusal(body, _Refusal, lambda found: found.error.message))
