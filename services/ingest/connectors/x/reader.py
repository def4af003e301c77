"""Sees to it that X pushes what happens to an account, and has it send again what was missed.

Each event is a subscription of its own. One that is missing is made again: X ends them, for example where the owner
took the application's access back. For some events X wants scopes that the owner may have left out.

Nothing is read in the ordinary course: reading costs as much as being told. X keeps what it sent, or tried to, for 24
hours, and sends a span of it again to the same webhook when it is asked to. What it sends again on the same day in UTC
is charged once. So that is asked for after each start, whenever nobody had looked for a while or something could not be
stored, and for all 24 hours once a webhook that was not valid is so again: nobody knows since when it was not.

Where X cannot do that, because it was longer ago or the package does not include it, mentions can be read instead, if
the agency wants to pay for that (RAPPORT_X_MENTIONS). Without authors' profiles, each of which X charges for as well.

Source: https://docs.x.com/x-api/webhooks/introduction, …/x-api/activity/create-x-activity-subscription and https://docs.x.com/x-api/users/get-mentions
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from rapport.contracts.events import Account
from services.ingest.broker import charge_record
from services.ingest.connectors.connector import Shared
from services.ingest.connectors.x import PLATFORM
from services.ingest.connectors.x.normalise import READ_EVENTS, Mentions, mentions
from services.ingest.connectors.x.settings import XSettings
from services.ingest.connectors.x.webhook import (
    KEPT,
    InvalidError,
    Webhook,
    not_subscribed,
    refused,
    subscription,
)
from services.ingest.hooks.delivery import UnreadableError, Watched
from services.ingest.leases.leases import Leases
from services.ingest.polling.api import Api, AttentionError, AwayError, Budget, LimitedError, RefusedError, Turns
from services.ingest.polling.polled import Polled
from services.ingest.polling.reading import Reading
from services.ingest.polling.told import Told

EVERY_SECONDS = 300.0
GAP = timedelta(minutes=15)
"""Nobody has looked for so long: then it is not known that everything was pushed."""
EARLIER = timedelta(minutes=1)
"""How much before the last look X is asked to begin: a delivery may have been under way."""
REPAIRED_WITHIN = timedelta(minutes=10)
"""How long it may take until X has sent again, at most: what is older than 24 hours by then is gone."""
PAGE, MOST_PAGES = 100, 8
"""In one look. X says that it gives the last 800 mentions."""
BUDGET, BUDGET_SECONDS = 150, 900.0
"""X allows a user 180 readings of mentions in 15 minutes."""
ANSWERED_SECONDS = 20.0
OF_THE_HOST = 16
OPTIONAL = ("like.", "block.", "dm.", "chat.")
"""How the events begin for which X wants a scope that the account's owner may have left out."""
OFF_FOR = timedelta(days=1)
"""How long such an event is left out after X has refused it."""
PUSHED, MENTIONS = "pushed", "mentions"
FIELDS = (
    "attachments,author_id,conversation_id,created_at,edit_history_tweet_ids,entities,in_reply_to_user_id,lang,"
    "note_tweet,referenced_tweets"
)
_AGAIN = "open the client's accounts in Rapport and press “Connect again”"


def usable(account: Account) -> bool:
    """Whether an account's connection has what is needed to ask."""
    return bool(itself(account) and account.connection.get("token", "").strip())


def itself(account: Account) -> str:
    """The account's id; empty where its connection does not have it."""
    return account.connection.get("user", "").strip()


def x(settings: XSettings, leases: Leases, shared: Shared) -> Polled:
    """The connector. Without a bearer token, nothing can be asked, and no account is followed."""
    http = shared.http(ANSWERED_SECONDS)
    turns = Turns(of_a_host=OF_THE_HOST)
    webhook = Webhook(settings, http, turns, shared)
    set_up = bool(settings.x_bearer.get_secret_value())

    def make(account: Account, reading: Reading, watched: Callable[[], Watched]) -> "XReader":
        headers = {"Authorization": f"Bearer {account.connection['token']}"}
        budget = Budget(BUDGET, BUDGET_SECONDS)
        api = Api(http, PLATFORM, settings.x_api, headers, budget, turns, shared.now, refused)
        own = Api(http, PLATFORM, settings.x_api, headers, budget, turns, shared.now, not_subscribed)
        return XReader(account, reading, watched, api if settings.x_mentions else None, own, webhook, shared)

    pushes = bool(settings.x_secrets.get_secret_value().strip())
    return Polled(
        PLATFORM, lambda account: set_up and usable(account), make, leases, shared, pushes=pushes, itself=itself
    )


class XReader:
    """A Reader."""

    every_seconds = EVERY_SECONDS

    def __init__(
        self,
        account: Account,
        reading: Reading,
        watched: Callable[[], Watched],
        api: Api | None,
        own: Api,
        webhook: Webhook,
        shared: Shared,
    ) -> None:
        """`api` reads mentions; None where the agency does not want that. `own` subscribes to events."""
        self._user = itself(account)
        self._reading = reading
        self._watched = watched
        self._api = api
        self._own = own
        self._webhook = webhook
        self._now = shared.now
        self._log = shared.log
        self._broker = shared.broker
        self._told = Told()
        self._list = f"{PUSHED}@{self._user}"
        self._steady = False
        self._began_at = time.monotonic()
        """When the last good reading began, by the monotonic clock."""
        self._valid = True
        self._looked_at = shared.now()
        self._off: dict[str, datetime] = {}
        """Events that X refuses, and until when they are left out."""
        self._again: set[str] = set()
        """Events that were subscribed to again, until somebody was told."""
        self._missed: tuple[datetime, datetime] | None = None
        """The span that is being repaired. It stays the same until it is."""
        self._more: tuple[datetime, datetime, str] | None = None
        """The span of which mentions are being read, and which page is the next."""

    async def itself(self) -> str:
        """See Reader."""
        return self._user

    async def read(self) -> None:
        """See Reader."""
        # Where anything of it fails, the next one has the time since the last good one sent again.
        steady = self._steady and self._broker.failed_at < self._began_at
        self._steady, began_at = False, time.monotonic()
        try:
            lacks = await self._subscribe()
        except InvalidError:
            self._valid = False
            raise
        now = self._now()
        # Until when everything is known to have been pushed; None for an account that has just been connected.
        read_to = self._reading.read_to(self._list)
        if read_to is not None and (not self._valid or self._webhook.was_invalid(self._looked_at)):
            self._missed = min(read_to - EARLIER, now - KEPT + REPAIRED_WITHIN), now
            self._more = None
        elif self._missed is None and read_to is not None and (not steady or now - read_to > GAP):
            self._missed = read_to - EARLIER, now
        self._valid, self._looked_at = True, now
        lost = await self._repair(*self._missed, now) if self._missed is not None else None
        # What has happened since then is known to have been pushed, or lies in the next span.
        done = self._missed[1] if self._missed is not None else now
        await self._reading.found([], [], [], self._list, done.isoformat())
        self._missed, self._steady, self._began_at = None, True, began_at
        if self._again and read_to is not None:
            gone = f"X had ended {', '.join(sorted(self._again))}: look at the account on X for the time since then"
            lost = f"{lost}; {gone}" if lost else gone
        self._again.clear()
        if lacks or lost:
            raise AttentionError("; ".join(filter(None, (lost, lacks))), complete=lacks is None)

    async def _subscribe(self) -> str | None:
        """Subscribes to the events that X does not push. Says in words which of them it refuses.

        Raises AttentionError where it pushes none.
        """
        now = self._now()
        wanted = {event for event in READ_EVENTS if self._off.get(event, now) <= now}
        missing = await self._webhook.missing(self._user, wanted)
        if not missing:
            return None
        refusals: dict[str, RefusedError] = {}
        for event in sorted(missing):
            try:
                content = subscription(event, self._user, self._webhook.id)
                await self._own.post("/2/activity/subscriptions", content, kind="application/json")
                self._webhook.subscribed(self._user, event)
            except RefusedError as error:
                refusals[event] = error
            except AttentionError as error:
                raise AttentionError(f"X does not send {event} of this account: {error}; {_AGAIN}") from None
        # Another process may have subscribed meanwhile. The list is of all accounts, and X limits asking for it.
        needed = any(not event.startswith(OPTIONAL) for event in refusals)
        left = await self._webhook.missing(self._user, wanted, soon=needed)
        refusals = {event: error for event, error in refusals.items() if event in left}
        if again := sorted(missing - refusals.keys()):
            self._log.warning("%s %s: subscribed again to %s", PLATFORM, self._account, ", ".join(again))
            self._again.update(event for event in again if not event.startswith(OPTIONAL))
        if not refusals:
            return None
        why = f"X does not send {', '.join(refusals)} of this account: {next(iter(refusals.values()))}; {_AGAIN}"
        if left == wanted:
            raise AttentionError(why)
        optional = [event for event in refusals if event.startswith(OPTIONAL)]
        self._off.update(dict.fromkeys(optional, now + OFF_FOR))
        if optional:
            self._log.warning("%s %s: %s are left out for a day: %s", PLATFORM, self._account, optional, why)
        return why if len(optional) < len(refusals) else None

    async def _repair(self, since: datetime, until: datetime, now: datetime) -> str | None:
        """Has X send a span again, or reads the mentions in it. Says what cannot be had any more, in words."""
        oldest = now - KEPT
        why = "X sends again what it sent in the last 24 hours only" if since < oldest else None
        if until > oldest:
            try:
                await self._webhook.repeated(max(since, oldest), until)
            except RefusedError as error:
                why, oldest = f"X does not send it again, perhaps because your package there does not: {error}", until
        if why is None:
            return None
        span = f"between {since.isoformat(timespec='minutes')} and {min(oldest, until).isoformat(timespec='minutes')}"
        if self._api is not None:
            await self._read_mentions(self._api, since, min(oldest, until))
            self._log.warning("%s %s: %s only mentions were read: %s", PLATFORM, self._account, span, why)
            return None
        self._log.error("%s %s: what was missed %s is lost: %s", PLATFORM, self._account, span, why)
        return f"what happened {span} did not arrive ({why}): look at the account on X for that time"

    async def _read_mentions(self, api: Api, since: datetime, until: datetime) -> None:
        """Goes on where it was broken off: X charges for each page. Raises LimitedError where there are more."""
        for _ in range(MOST_PAGES):
            since, until, token = self._more or (since, until, None)
            asked: Mapping[str, str] = {
                "max_results": str(PAGE), "tweet.fields": FIELDS, "start_time": _written(since),
                "end_time": _written(until), **({"pagination_token": token} if token else {}),
            }  # fmt: skip
            try:
                body = await api.get(f"/2/users/{self._user}/mentions", asked)
                page = mentions(body, self._watched(), self._now())
            except UnreadableError as error:
                raise AwayError(f"X's mentions cannot be read: {error}") from None
            except RefusedError as error:
                self._more = None  # it may be the page that X does not know any more
                raise AttentionError(str(error)) from None
            except AttentionError as error:
                raise AttentionError(f"{error}; {_AGAIN}") from None
            await self._tell(page)
            # X charges for what it shows, also where it shows the same again.
            if not page.next or page.next == token:
                self._more = None
                return
            self._more = since, until, page.next
        raise LimitedError(EVERY_SECONDS)

    async def _tell(self, page: Mentions) -> None:
        await self._broker.append([charge_record(each) for each in page.charges])
        await self._reading.tell(page, self._told, MENTIONS, self._log)

    @property
    def _account(self) -> str:
        return self._reading.account.id


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
