"""Meta's interfaces, asked page by page for what an account has; and how they refuse.

Source: https://developers.facebook.com/docs/graph-api/guides/error-handling/ and …/docs/graph-api/results
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import httpx
from msgspec import Struct

from rapport.domain.platforms import platform_name
from rapport.kit.http.outgoing import GuardedHttp
from rapport.kit.text import one_line
from services.ingest.connectors.connector import Shared
from services.ingest.hooks.delivery import UnreadableError, decode
from services.ingest.hooks.meta_pages import Page
from services.ingest.polling.api import (
    Api,
    AttentionError,
    AwayError,
    Budget,
    LimitedError,
    RefusedError,
    TooMuchError,
    Turns,
)
from services.ingest.polling.sizes import Sizes
from services.ingest.polling.told import CLOCKS
from services.ingest.polling.usage import Usage

ANSWERED_SECONDS = 20.0
OF_THE_HOST = 16
"""Requests under way at once: all accounts of a platform are on one host."""
BUDGET, BUDGET_SECONDS = 180, 3_600.0
"""Requests of one account. Meta allows 200 an hour at least; answers written here have a budget of their own."""
PAGE = 100
"""Items at once, the most that Meta gives."""
MOST_PAGES = 200
"""Of one list in one reading. A list that never ends must not be read for ever."""
MOST_STOPPED = 200
"""Lists whose place is kept after a limit."""
LIMITS = frozenset({4, 17, 32, 341, 613, *range(80_000, 80_015)})
BLOCKED = 368
"""The code for what is refused for a while because too much of it was done."""
TOKEN = frozenset({102, 190})
PERMISSIONS = frozenset({3, 10, *range(200, 300)})
FAILURES = frozenset({1, 2})
UNSEEN = (100, 33)
"""Code and subcode: it does not exist, or this token may not see it. Meta does not say which."""
LONGEST_SAID = 200
_BEGINNING: Mapping[str, str] = MappingProxyType({})
_TOO_MUCH = "reduce the amount of data"


class Fault(Struct):
    """What an interface says where it refuses."""

    code: int = 0
    error_subcode: int = 0
    message: str | None = None
    error_user_msg: str | None = None
    is_transient: bool = False


class Refusal(Struct):
    """The body of a refusal."""

    error: Fault


class DeniedError(AttentionError):
    """A permission is missing for what was asked."""


class FailedError(AwayError):
    """What was asked for cannot be had at present; other things may be."""


class UnseenError(RefusedError):
    """What was asked for is not there, or may not be seen."""


class Stopped(NamedTuple):
    """Where the reading of a list was interrupted."""

    place: Mapping[str, str]
    began: datetime


class Graph:
    """One of Meta's interfaces, for what is read of one account."""

    def __init__(
        self, platform: str, base: str, token: str, http: GuardedHttp, turns: Turns, shared: Shared,
        budget: int = BUDGET,
    ) -> None:  # fmt: skip
        """`base` is its address with its version; `budget` is for an hour."""
        self._name = platform_name(platform)
        self.usage = Usage(Budget(budget, BUDGET_SECONDS))
        # In a header: addresses are logged.
        headers = {"Authorization": f"Bearer {token}"}
        self._api = Api(
            http, platform, base, headers, self.usage, turns, shared.now, refused=self._refused, heard=self.usage.heard
        )
        self._now = shared.now
        self._sizes = Sizes(shared.now)
        self._stopped: dict[str, Stopped] = {}

    async def get(self, path: str, query: Mapping[str, str]) -> bytes:
        """What a path says.

        Raises AttentionError (DeniedError if a permission is missing), LimitedError, AwayError, and RefusedError
        (UnseenError for what is not there).
        """
        return await self._api.get(path, query)

    async def pages(
        self, kind: str, path: str, query: Mapping[str, str], read: Callable[[bytes], Page], most: int = PAGE, *,
        resumed: bool = False,
    ) -> AsyncIterator[Page]:  # fmt: skip
        """The pages of a list, for as long as somebody wants more. Raises as `get`.

        A page that is too large, or takes too long, is asked for in halves from the next try on, and in twice as many
        each hour after. `kind` names the lists for which this counts. Raises TooMuchError where less can be asked for,
        and FailedError where a page cannot be read or the list has more than `MOST_PAGES`.

        `resumed`: after a limit, or `MOST_PAGES`, it goes on where that was, once what has come since has been read.
        That is for lists whose pages say how old they are.
        """
        stopped = self._stopped.pop(path, None) if resumed else None
        began, place = self._now(), _BEGINNING
        for _ in range(MOST_PAGES):
            limit = self._sizes.at_once(kind, most)
            try:
                found = read(await self._api.get(path, {**query, "limit": str(limit), **place}))
            except (TooMuchError, UnreadableError) as error:
                self._sizes.halve(kind, limit)
                less = isinstance(error, TooMuchError) and limit > 1
                raise (TooMuchError if less else FailedError)(f"{path}, {limit} at once: {error}") from None
            except LimitedError:
                self._stops(path, stopped or Stopped(place, began), resumed=resumed)
                raise
            yield found
            if not found.more or found.more == place:
                return
            place = found.more
            if stopped is not None and found.oldest is not None and found.oldest < stopped.began - CLOCKS:
                place, stopped = stopped.place, None
        self._stops(path, stopped or Stopped(place, began), resumed=resumed)
        raise FailedError(f"{path} has more than {MOST_PAGES} pages")

    def _stops(self, path: str, where: "Stopped", *, resumed: bool) -> None:
        if resumed and where.place:
            self._stopped[path] = where
        while len(self._stopped) > MOST_STOPPED:
            del self._stopped[next(iter(self._stopped))]

    def relax(self) -> None:
        """Pages of full size are tried again."""
        self._sizes.relax()

    def _refused(self, status: int, body: bytes) -> Exception | None:
        try:
            error = decode(body, Refusal).error
        except UnreadableError:
            return LimitedError(self.usage.pause()) if status == httpx.codes.TOO_MANY_REQUESTS else None
        said = one_line(error.error_user_msg or error.message or "", LONGEST_SAID) or f"code {error.code}"
        again = "open the client's accounts in Rapport and press “Connect again”"
        if error.code in LIMITS or error.code == BLOCKED or status == httpx.codes.TOO_MANY_REQUESTS:
            return LimitedError(self.usage.pause())
        if error.code in TOKEN:
            return AttentionError(f"{self._name} does not accept its token any more ({said}): {again}")
        if error.code in PERMISSIONS:
            switched_on = f"{again}, and leave every permission switched on"
            return DeniedError(f"its token lacks a permission ({said}): {switched_on}")
        if error.code == 1 and _TOO_MUCH in said:
            return TooMuchError(said)
        if error.code in FAILURES or error.is_transient or status >= 500:
            return FailedError(f"{self._name} fails: {said}", incident=True)
        if (error.code, error.error_subcode) == UNSEEN:
            return UnseenError(f"{self._name} does not show what is asked for: {said}")
        return RefusedError(f"{self._name} refuses what is asked: {said}")
