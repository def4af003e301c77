"""The webhook at X: whether it is valid, who is subscribed to it, and what X is asked to send again.

Once for all accounts: X has them by application. A webhook that failed X's check is validated again from here.

Source: https://docs.x.com/x-api/webhooks/introduction, …/x-api/webhooks/create-replay-job-for-webhook and
…/x-api/activity/introduction
"""

import asyncio
from collections.abc import Callable, Sequence, Set
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

import httpx
import msgspec
from msgspec import Struct

from rapport.kit.http.outgoing import GuardedHttp
from rapport.kit.text import one_line
from services.ingest import metrics
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.x import PLATFORM
from services.ingest.connectors.x.settings import XSettings
from services.ingest.hooks.delivery import Id, UnreadableError, decode
from services.ingest.polling.api import (
    Api,
    AttentionError,
    AwayError,
    Budget,
    LimitedError,
    RefusedError,
    Turns,
)

PATH = "/v1/platforms/x"
"""How the address of our webhook ends."""
KEPT = timedelta(hours=24) - timedelta(minutes=5)
"""How far back X sends again, less what the clocks may differ."""
REPLAYING_SECONDS = 60.0
"""How long X may take to send again what was asked for."""
LOOKED_EVERY = timedelta(minutes=5)
LISTED_EVERY = timedelta(minutes=5)
"""Whoever takes an application's access back ends subscriptions."""
AGAIN = timedelta(minutes=1)
"""How long an answer that something is wrong is believed: every account asks."""
PAGE, MOST_PAGES = 1_000, 60
BUDGET, BUDGET_SECONDS = 90, 900.0
"""X allows 100 replays in 15 minutes, and more of everything else."""
MINUTE = timedelta(minutes=1)
SHARED = timedelta(minutes=10)
CONSOLE = "https://console.x.com"
_CHECKED = "see that https://YOUR-INGEST/v1/platforms/x is reachable from the internet and RAPPORT_X_SECRETS is right"
_LONGEST_SAID = 200

T = TypeVar("T")


class _Problem(Struct):
    detail: str | None = None
    title: str | None = None
    type: str | None = None


class _Webhook(Struct):
    id: Id
    url: str = ""
    valid: bool = False
    created_at: str = ""


class _List(Struct):
    errors: list[_Problem] = []
    """Why X does not show something, with status 200."""


class _Webhooks(_List):
    data: list[_Webhook] = []


class _Of(Struct, frozen=True):
    user_id: Id | None = None


class _Subscription(Struct):
    filter: _Of = _Of()
    webhook_id: Id | None = None
    event_type: str = ""


class _Meta(Struct, frozen=True):
    next_token: str | None = None


class _Subscriptions(_List):
    data: list[_Subscription] = []
    meta: _Meta = _Meta()


def _refused(status: int, body: bytes) -> Exception | None:
    if status == httpx.codes.UNAUTHORIZED:
        return AttentionError(f"X does not accept RAPPORT_X_BEARER: make a new bearer token in {CONSOLE}")
    if status == httpx.codes.CONFLICT:
        return LimitedError(REPLAYING_SECONDS)  # it is still sending again what was asked for before
    if status == httpx.codes.FORBIDDEN:
        return RefusedError(f"X does not allow it{_said(body)}")
    return refused(status, body)


class Replay(NamedTuple):
    """A span of time that X was asked to send again, and when."""

    since: datetime
    until: datetime
    asked_at: datetime


def refused(status: int, body: bytes) -> Exception | None:
    """What a refusal of X means; None where the status alone says it."""
    why = _said(body)
    if status == httpx.codes.PAYMENT_REQUIRED or (_problem(body).type or "").endswith("usage-capped"):
        return AttentionError(f"the credit at X, or its monthly limit, is used up{why}: look at it in {CONSOLE}")
    if status in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST):
        return RefusedError(f"X refuses it{why}")
    return None


def not_subscribed(status: int, body: bytes) -> Exception | None:
    """What a refusal to subscribe to an event means; None where the status alone says it."""
    if status in (httpx.codes.FORBIDDEN, httpx.codes.CONFLICT):
        return RefusedError(f"X refuses it{_said(body)}")
    return refused(status, body)


def subscription(event: str, user: str, webhook: str) -> bytes:
    """What X is asked with for a subscription to one event of an account."""
    return msgspec.json.encode({"event_type": event, "filter": {"user_id": user}, "webhook_id": webhook})


def _problem(body: bytes) -> _Problem:
    try:
        return decode(body, _Problem)
    except UnreadableError:
        return _Problem()


def _said(body: bytes) -> str:
    problem = _problem(body)
    said = one_line(problem.detail or problem.title or "", _LONGEST_SAID)
    return f" ({said})" if said else ""


class InvalidError(AttentionError):
    """The webhook does not pass X's check, so X sends nothing."""


class Webhook:
    """For one event loop."""

    def __init__(self, settings: XSettings, http: GuardedHttp, turns: Turns, shared: Shared) -> None:
        headers = {"Authorization": f"Bearer {settings.x_bearer.get_secret_value()}"}
        budget = Budget(BUDGET, BUDGET_SECONDS)
        self._api = Api(http, PLATFORM, settings.x_api, headers, budget, turns, shared.now, _refused)
        self._now: Callable[[], datetime] = shared.now
        self._lock = asyncio.Lock()
        self._id: str | None = None
        self._looked_at: datetime | None = None
        self._listed_at: datetime | None = None
        self._subscribed: dict[str, set[str]] = {}
        """By account: the events of it that are pushed to us."""
        self._replay: Replay | None = None
        self._validated_at: datetime | None = None
        self._failed: AttentionError | None = None
        self._failed_at = shared.now()

    @property
    def id(self) -> str:
        """X's id of the webhook, once it was checked."""
        assert self._id is not None
        return self._id

    async def missing(self, user: str, wanted: Set[str], *, soon: bool = False) -> Set[str]:
        """Those events of an account that X does not push to us.

        It may have been looked lately; `soon`, within a minute. Raises AttentionError where X pushes nothing
        of any account, LimitedError and AwayError.
        """
        async with self._lock:
            now = self._now()
            if self._failed is not None and now - self._failed_at < AGAIN:
                raise type(self._failed)(str(self._failed))
            try:
                await self._look()
                listed_at = self._listed_at
                await self._list(AGAIN if soon else LISTED_EVERY)
                if self._lacks(user, wanted) and listed_at == self._listed_at:
                    await self._list(AGAIN)  # they may have been subscribed since
            except RefusedError as error:
                self._failed = AttentionError(f"{error}: compare RAPPORT_X_BEARER with the application in {CONSOLE}")
                self._failed_at = now
                raise self._failed from None
            except AttentionError as error:
                self._failed, self._failed_at = error, now
                raise
            self._failed = None
            return self._lacks(user, wanted)

    def subscribed(self, user: str, event: str) -> None:
        """Notes that X pushes an event of an account to us from now on."""
        self._subscribed.setdefault(user, set()).add(event)

    def _lacks(self, user: str, wanted: Set[str]) -> Set[str]:
        return wanted - self._subscribed.get(user, set())

    def was_invalid(self, since: datetime) -> bool:
        """Whether the webhook had to be validated again after a time."""
        return self._validated_at is not None and self._validated_at > since

    async def repeated(self, since: datetime, until: datetime) -> None:
        """Returns once X has sent again everything from `since` to `until`, or would have.

        Raises LimitedError while it does, RefusedError where it will not, AttentionError and AwayError.
        """
        async with self._lock:
            now = self._now()
            found = self._replay
            if found is not None and found.since <= since and until <= found.until:
                left = REPLAYING_SECONDS - (now - found.asked_at).total_seconds()
                if left > 0:
                    raise LimitedError(left)
                return
            # X takes whole minutes, none of them in the future. It begins a little earlier, because what is missing is
            # much the same for all accounts, and each time X sends again what happened to all of them.
            oldest, first, last = _minute(now - KEPT), _minute(since - SHARED), _minute(until) + MINUTE
            if found is not None and (now - found.asked_at).total_seconds() < 2 * REPLAYING_SECONDS:
                # Another account still waits for that one, and would ask for its own time again in turn.
                first, last = min(first, found.since), max(last, found.until)
            first = max(first, oldest)
            if last > now:
                raise LimitedError((last - now).total_seconds() + 1)
            assert self._id is not None
            asked = {"webhook_id": self._id, "from_date": _written(first), "to_date": _written(last)}
            await self._api.post("/2/webhooks/replay", msgspec.json.encode(asked), kind="application/json")
            self._replay = Replay(first, last, now)
            raise LimitedError(REPLAYING_SECONDS)

    async def _look(self) -> None:
        now = self._now()
        if self._looked_at is not None and now - self._looked_at < LOOKED_EVERY:
            return
        ours = await self._ours()
        if ours is None:
            raise AttentionError(
                f"no webhook of the application at X leads to Rapport: register https://YOUR-INGEST{PATH}, as "
                "docs/platforms.md#x says"
            )
        if not ours.valid:
            # X checks again at once. What it did not send meanwhile it is asked for afterwards.
            await self._api.post(f"/2/webhooks/{ours.id}", kind="application/json", method="PUT")
            ours = await self._ours()
            if ours is None or not ours.valid:
                raise InvalidError(f"X sends nothing, because the webhook does not pass its check: {_CHECKED}")
            self._validated_at = now
        self._id, self._looked_at = str(ours.id), now

    async def _ours(self) -> _Webhook | None:
        """The newest of those that lead to Rapport."""
        found = _read(await self._api.get("/2/webhooks"), _Webhooks)
        _check(found, found.data)
        ours = [each for each in found.data if each.url.rstrip("/").endswith(PATH)]
        return max(ours, key=lambda each: each.created_at, default=None)

    async def _list(self, every: timedelta) -> None:
        now = self._now()
        if self._listed_at is not None and now - self._listed_at < every:
            return
        events: dict[str, set[str]] = {}
        many, token = 0, None
        for _ in range(MOST_PAGES):
            asked = {"max_results": str(PAGE), **({"pagination_token": token} if token else {})}
            page = _read(await self._api.get("/2/activity/subscriptions", asked), _Subscriptions)
            _check(page, page.data)
            many += len(page.data)
            for each in page.data:
                if each.filter.user_id and str(each.webhook_id or "") == self._id:
                    events.setdefault(str(each.filter.user_id), set()).add(each.event_type)
            if not page.meta.next_token or page.meta.next_token == token:
                break
            token = page.meta.next_token
        self._subscribed, self._listed_at = events, now
        metrics.SUBSCRIPTIONS.labels(PLATFORM).set(many)


def _minute(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _written(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M")


def _check(answer: _List, data: Sequence[Struct]) -> None:
    """Raises AwayError for an error that only looks like a list with nothing in it."""
    if answer.errors and not data:
        said = one_line(answer.errors[0].detail or answer.errors[0].title or "", _LONGEST_SAID)
        raise AwayError(f"X answers with an error{f' ({said})' if said else ''}")


def _read(answer: bytes, shape: type[T]) -> T:
    try:
        return decode(answer, shape)
    except UnreadableError as error:
        raise AwayError(f"X's answer cannot be read: {error}") from None
