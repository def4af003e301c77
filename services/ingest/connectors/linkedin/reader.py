"""Asks LinkedIn for the notifications that its webhook did not deliver, and whether it still delivers them.

The finder gives the notifications of a span of time, 60 days back, in the webhook's own shape. LinkedIn ends a
subscription without a word when the member who allowed it leaves, or is no longer an administrator of the page: then
the finder answers 401 or 403. The page's own posts are in a list of their own, which is read beside the notifications.
Where the application's number is set, the subscription itself is looked at too.

Source: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/organization-social-action-notifications
and https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
from msgspec import Struct

from rapport.contracts.events import Account
from rapport.kit.text import one_line
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.linkedin import PLATFORM, normalise
from services.ingest.connectors.linkedin.settings import LinkedInSettings
from services.ingest.connectors.linkedin.speaker import VERSION
from services.ingest.hooks.delivery import UnreadableError, Watched, decode
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import (
    LONGEST_WAIT_SECONDS,
    Api,
    AttentionError,
    AwayError,
    Budget,
    LimitedError,
    RefusedError,
    TooMuchError,
    Turns,
)
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading
from services.ingest.polling.told import CLOCKS, Legible, Told

EVERY_SECONDS = 900.0
"""LinkedIn limits what an application asks in a day and does not say to how much. 500 pages ask 48,000 times."""
KEPT = timedelta(days=60) - timedelta(hours=1)
"""How far back LinkedIn keeps notifications, less what the clocks may differ."""
ACTIONS = ("COMMENT", "ADMIN_COMMENT", "COMMENT_EDIT", "COMMENT_DELETE", "LIKE", "SHARE", "SHARE_MENTION")
PAGE = 50
MOST_PAGES = 100
"""Of one span. A busier one is asked for in halves."""
LONGEST_SPAN, SHORTEST_SPAN = timedelta(days=7), timedelta(minutes=1)
CHECKED_EVERY = timedelta(hours=1)
BUDGET, BUDGET_SECONDS = 240, 3_600.0
OF_THE_HOST = 16
"""Requests under way at once: all pages are on one host."""
ANSWERED_SECONDS = 20.0
NOTIFICATIONS, POSTS = "notifications", "posts"
POSTS_AT_ONCE, POSTS_PAGES = 50, 40
"""More than one page is read only where all on it is new."""
POSTS_TWICE = 5
"""On two pages: where one is deleted between them, those behind it move up."""
POSTS_EVERY, POSTS_AGAIN = timedelta(minutes=14), timedelta(hours=1)
"""How often posts are asked for, and once that was refused or failed: a request of each look, of few in a day."""
_AGAIN = "open the client's accounts in Rapport and press “Connect again”"
_LONGEST_SAID = 200


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(itself(account) and account.connection.get("token", "").strip())


def itself(account: Account) -> str:
    """The account's id; empty where its connection does not have it."""
    return normalise.urn_of(account.connection.get("organization", "").strip())


def linkedin(settings: LinkedInSettings, leases: Leases, shared: Shared) -> Polled:
    """The connector."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns(of_a_host=OF_THE_HOST)

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "LinkedInReader":
        headers = {
            "Authorization": f"Bearer {account.connection['token']}",
            "LinkedIn-Version": VERSION,
            "X-Restli-Protocol-Version": "2.0.0",
        }
        budget = Budget(BUDGET, BUDGET_SECONDS)
        api = Api(
            http, PLATFORM, settings.linkedin_api, headers, budget, turns, shared.now,
            refused=lambda status, body: refused(status, body, shared.now()),
        )  # fmt: skip
        finder = Api(
            http, PLATFORM, settings.linkedin_api, {**headers, "X-RestLi-Method": "FINDER"}, budget, turns, shared.now,
            refused=lambda status, body: posts_refused(status, body, shared.now()),
        )  # fmt: skip
        return LinkedInReader(account, reading, watched, api, finder, settings.linkedin_application, shared)

    pushes = bool(settings.linkedin_secrets.get_secret_value().strip())
    return Polled(PLATFORM, usable, make, leases, shared, pushes=pushes, itself=itself)


class _Refusal(Struct):
    message: str | None = None
    code: str | None = None


class _Subscription(Struct, rename="camel"):
    webhook: str | None = None
    expires_at: float | None = None


def refused(status: int, body: bytes, now: datetime) -> Exception | None:
    """What a refusal means; None where the status alone says it."""
    try:
        found = decode(body, _Refusal)
        said = one_line(found.message or found.code or "", _LONGEST_SAID)
    except UnreadableError:
        said = ""
    why = f" ({said})" if said else ""
    match status:
        case httpx.codes.UNAUTHORIZED:
            return AttentionError(f"LinkedIn does not accept its token any more{why}: {_AGAIN}")
        case httpx.codes.FORBIDDEN:
            return AttentionError(
                f"the member who connected the page may not read it any more{why}, and LinkedIn pushes nothing of it: "
                f"{_AGAIN}, as somebody who is an administrator of the page"
            )
        case httpx.codes.TOO_MANY_REQUESTS:
            return LimitedError(min(LONGEST_WAIT_SECONDS, _until_midnight(now)))
        case httpx.codes.UPGRADE_REQUIRED:
            return AttentionError(f"LinkedIn has ended version {VERSION} of its interface{why}: update Rapport")
        case httpx.codes.NOT_FOUND:
            return RefusedError(f"LinkedIn does not know it{why}")
        case _ if 400 <= status < 500:
            return AttentionError(f"LinkedIn refuses what is asked{why}")
    return None


def posts_refused(status: int, body: bytes, now: datetime) -> Exception | None:
    """As `refused`, of the list of posts: without its permission, everything else is read all the same."""
    if status == httpx.codes.FORBIDDEN:
        return RefusedError(f"its token lacks the permission r_organization_social: {_AGAIN}")
    return refused(status, body, now)


_BESIDE = (RefusedError, AttentionError, AwayError, LimitedError)
"""What may go wrong with the posts without a word against the notifications."""


def _until_midnight(now: datetime) -> float:
    """Seconds until limits are reset, which happens at midnight in UTC."""
    midnight = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
    return max(1.0, (midnight - now).total_seconds())


class LinkedInReader:
    """A Reader."""

    every_seconds = EVERY_SECONDS

    def __init__(
        self,
        account: Account,
        reading: Reading,
        watched: Callable[[], Watched],
        api: Api,
        finder: Api,
        application: str,
        shared: Shared,
    ) -> None:
        """`finder` is asked for posts. `application` is the application's number; empty where it is not known."""
        self._organization = itself(account)
        self._member = account.connection.get("member", "").strip()
        self._reading = reading
        self._watched = watched
        self._api = api
        self._finder = finder
        self._posts_list = f"{POSTS}@{self._organization}"
        self._posts_due_at: datetime | None = None
        self._posts_told = Told()
        self._application = application
        self._now = shared.now
        self._log = shared.log
        self._told = Told(MOST_PAGES * PAGE)  # a span that breaks off is read again
        self._span = LONGEST_SPAN
        self._checked_at: datetime | None = None

    @property
    def posts_checked_at(self) -> datetime:
        """See PostsApart."""
        return self._reading.known_to(self._posts_list)

    async def itself(self) -> str:
        """See Reader."""
        return self._organization

    async def read(self) -> None:
        """See Reader."""
        now = self._now()
        list_ = f"{NOTIFICATIONS}@{self._organization}"
        since = self._since(list_, now)
        while since < now:
            until = min(now, since + self._span)
            await self._read_span(since, until)
            await self._reading.found([], [], [], list_, until.isoformat())
            self._span = min(LONGEST_SPAN, self._span * 2)
            since = until
        if self._posts_due_at is None or now >= self._posts_due_at:
            self._posts_due_at = now + POSTS_EVERY
            try:
                await self._posts(now)
            except _BESIDE as error:
                self._posts_due_at = now + POSTS_AGAIN
                self._log.warning("%s %s: its posts are not read: %s", PLATFORM, self._reading.account.id, error)
        await self._check(now)

    def _since(self, list_: str, now: datetime) -> datetime:
        read_to, oldest = self._reading.read_to(list_), now - KEPT
        if read_to is not None and read_to < oldest:
            self._log.error(
                "%s %s: what LinkedIn did not push between %s and %s cannot be asked for any more",
                PLATFORM, self._reading.account.id, read_to.isoformat(), oldest.isoformat(),
            )  # fmt: skip
        return max(oldest, (read_to or self._reading.account.connected_at) - CLOCKS)

    async def _read_span(self, since: datetime, until: datetime) -> None:
        start, before = 0, b""
        for _ in range(MOST_PAGES):
            body = await self._page(since, until, start)
            try:
                delivery, many, more = normalise.asked(body, self._watched(), self._now())
            except UnreadableError as error:
                raise AwayError(f"LinkedIn's notifications cannot be read: {error}") from None
            await self._reading.tell(delivery, self._told, NOTIFICATIONS, self._log)
            if not many or not more or body == before:
                return
            start, before = start + many, body
        if until - since <= SHORTEST_SPAN:
            raise AwayError(f"more than {MOST_PAGES * PAGE} notifications within {SHORTEST_SPAN}")
        self._span = max(SHORTEST_SPAN, (until - since) / 2)
        raise AwayError(f"more than {MOST_PAGES * PAGE} notifications at once; they are asked for in halves")

    async def _page(self, since: datetime, until: datetime, start: int) -> bytes:
        # Brackets and commas belong to LinkedIn's own way of writing lists, and must not be escaped.
        asked = (
            f"q=criteria&actions=List({','.join(ACTIONS)})&organizationalEntity={quote(self._organization, safe='')}"
            f"&timeRange=(start:{_milliseconds(since)},end:{_milliseconds(until)})&start={start}&count={PAGE}"
        )
        try:
            return await self._api.get(f"/rest/organizationalEntityNotifications?{asked}")
        except TooMuchError:
            self._span = max(SHORTEST_SPAN, (until - since) / 2)
            raise
        except RefusedError as error:
            raise AttentionError(f"LinkedIn does not know the page {self._organization}: {error}") from None

    async def _posts(self, now: datetime) -> None:
        """Tells the posts that are new, from the one that was changed last back to when they were last read to the end.

        A post that is published has changed, however long before it was written. So has one that is edited: while the
        list is read it may move from a page that is not read yet to one that is. Then the next look finds it there.
        """
        wanted, since = self._reading.account.connected_at - CLOCKS, self._reading.posts_since(self._posts_list)
        start, before, found = 0, b"", Legible()
        for _ in range(POSTS_PAGES):
            asked = {
                "author": self._organization, "q": "author", "count": str(POSTS_AT_ONCE), "start": str(start),
                "sortBy": "LAST_MODIFIED",
            }  # fmt: skip
            try:
                body = await self._finder.get("/rest/posts", asked)
                page = normalise.posts(body, POSTS_AT_ONCE, self._watched(), self._now())
            except UnreadableError as error:
                raise AwayError(f"LinkedIn's posts cannot be read: {error}") from None
            found.add(page.delivery)
            fresh = [one for one in page.delivery.interactions if page.changed_at[one.id] >= since]
            page.delivery.interactions = fresh
            await self._reading.tell(page.delivery, self._posts_told, self._posts_list, self._log, wanted)
            if not page.more or body == before or (page.last_at is not None and page.last_at < since):
                break
            start, before = start + max(1, page.many - POSTS_TWICE), body
        else:
            self._reading.tell_too_many(start, self._log)
        if found.nothing:
            raise AwayError("none of LinkedIn's posts can be read")
        await self._reading.found([], [], [], self._posts_list, now.isoformat())

    async def _check(self, now: datetime) -> None:
        """Whether the page is subscribed to our webhook, where it is known as whom that has to be asked.

        Everything has been read by now, and what goes wrong here changes nothing of that.
        """
        if not (self._application and self._member):
            return
        if self._checked_at is not None and now - self._checked_at < CHECKED_EVERY:
            return
        key = (
            f"(developerApplication:{quote(f'urn:li:developerApplication:{self._application}', safe='')},"
            f"user:{quote(self._member, safe='')},entity:{quote(self._organization, safe='')},"
            "eventType:ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS)"
        )
        try:
            body = await self._api.get(f"/rest/eventSubscriptions/{key}")
            found = decode(body, _Subscription)
        except RefusedError:
            found = _Subscription()
        except AttentionError as error:
            raise AttentionError(
                f"LinkedIn does not say whether it still pushes to Rapport: {error}", complete=True
            ) from None
        except (AwayError, LimitedError, UnreadableError) as error:
            why = str(error) or type(error).__name__
            self._log.warning("%s %s: its subscription was not looked at: %s", PLATFORM, self._reading.account.id, why)
            return
        ended = found.expires_at is not None and found.expires_at / 1000 < now.timestamp()
        if not found.webhook or ended:
            how = "has ended" if ended else "is gone"
            raise AttentionError(
                f"LinkedIn pushes nothing of the page to Rapport, because its subscription {how}: connect the "
                "account again, or subscribe it as docs/platforms.md#linkedin says. It is asked for news meanwhile",
                complete=True,
            )
        self._checked_at = now


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
