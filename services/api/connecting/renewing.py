"""Renews accounts' tokens before they end, in one API process at a time.

Only the API writes brands to the log, so it is the API that renews. One process holds a lease in MongoDB, whose number
rises with each holder; what is known of a token is written only under the newest number, and a renewal is noted before
the vendor is asked. The new token is stored first, and then published.
"""

import asyncio
import logging
from collections import Counter as Counts
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pymongo
from prometheus_client import Counter, Gauge
from pymongo.errors import PyMongoError

from rapport.kit import backoff, clock
from rapport.kit.log import pseudonym
from rapport.kit.sealing import SealedError
from services.api.accounts import service as accounts_service
from services.api.accounts.documents import AccountDocument, NewestAccount
from services.api.accounts.repository import Accounts, newest
from services.api.connecting.documents import AccountTokenDocument
from services.api.connecting.repository import RenewalLease, Tokens
from services.api.connecting.service import Connecting, app_place, ended, stamp, vendor_of
from services.api.connecting.tokens import can_renew, due_at, ends_at, hash_of, is_time, next_try, token_document
from services.api.connecting.vendors.asking import VendorError
from services.api.connecting.vendors.table import VENDORS
from services.api.connecting.vendors.vendor import INVALID_GRANT, App, Grant, Held, Vendor, Visit
from services.api.http.context import Context
from services.api.storage.tenants import Database, Tenants

log = logging.getLogger("rapport.api")

LOOK_SECONDS = 30.0
LEFT_AFTER = timedelta(minutes=5)
"""After an account was disconnected: whoever did that is done with it by then, or has ended."""
MOST_ENDED = 5
"""In a round: each may take 20 s, and renewing comes first."""
AT_ONCE = 8
"""Renewals. With the longest that a vendor may take, so many end well within the lease."""
AWAY_AFTER = 3
"""Failures of one vendor, or of one Mastodon server, in a round, after which its other accounts wait for the next: it
delays nobody else."""
AHEAD = timedelta(minutes=10)
"""How far apart the clocks of two API processes may be."""
STORED_SECONDS = 45.0
"""How long it is tried to store a token that was renewed: with some vendors, losing it loses the account."""
TRY_SECONDS = 15.0
EVERY_SECONDS = 30.0
SOON = timedelta(days=30)
MOST_SHOWN = 100
OUTCOMES = ("renewed", "failed", "refused")

RENEWALS = Counter(
    "rapport_account_token_renewals_total",
    "Renewals of accounts' tokens: `failed` is tried again, `refused` needs a person.",
    ["platform", "outcome"],
)
ENDS = Gauge(
    "rapport_account_ends_timestamp_seconds",
    "When an account stops being connected unless it is connected again, as Unix time, of those that soon do.",
    ["account", "platform"],
)
for _platform in sorted({each.platform for each in VENDORS.values()}):
    for _outcome in OUTCOMES:
        RENEWALS.labels(_platform, _outcome)


async def keep(database: Database) -> None:
    """Keeps the metric of ends up to date, in every process. Does not end."""
    while True:
        try:
            await measure(database, clock.now())
        except PyMongoError as error:
            log.warning("the ends of accounts are as old as the last look (%s: %.300s)", type(error).__name__, error)
        await asyncio.sleep(EVERY_SECONDS)


async def measure(database: Database, now: datetime) -> None:
    """Sets the metric."""
    ending = await Tokens(database).ending(now + SOON, MOST_SHOWN)
    ENDS.clear()
    for each in ending:
        assert each["ends_at"] is not None
        ENDS.labels(each["_id"], each["platform"]).set(each["ends_at"].timestamp())


class Renewing:
    """Renews what is due, while this process has the lease."""

    def __init__(self, context: Context, connecting: Connecting) -> None:
        self._context = context
        self._connecting = connecting
        self._tokens = Tokens(context.database)
        self._lease = RenewalLease(context.database)

    async def run(self) -> None:
        """Looks every so often. Does not end."""
        try:
            while True:
                try:
                    await self.round(clock.now())
                except PyMongoError as error:
                    log.warning("renewing tokens waits for MongoDB (%s: %.300s)", type(error).__name__, error)
                except Exception:  # one round's bug must not end all later ones
                    log.exception("renewing tokens failed")
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await asyncio.shield(self._released())

    async def _released(self) -> None:
        try:
            await self._lease.release()
        except PyMongoError as error:
            log.info("the lease of renewing was not released and will expire (%s)", type(error).__name__)

    async def round(self, now: datetime) -> int:
        """Renews what is due, and returns how many that were; 0 while another process has the lease."""
        number = await self._lease.take(clock.now())
        if number is None:
            return 0
        accounts = await Accounts(self._context.database, Tenants(None)).with_expiring_tokens()
        known = await self._tokens.of([each["_id"] for each in accounts])
        due = [each for each in accounts if await self._is_due(each, known.get(each["_id"]), number, now)]
        away: Counts[tuple[str, str]] = Counts()
        for start in range(0, len(due), AT_ONCE):
            if await self._lease.take(clock.now()) != number:
                log.warning("renewing tokens stops: another process does it now")
                break
            part = [each for each in due[start : start + AT_ONCE] if away[_asked_of(each)] < AWAY_AFTER]
            for each, failed in zip(
                part, await asyncio.gather(*(self._one(each, number) for each in part)), strict=True
            ):
                away[_asked_of(each)] += failed
        await self._end_left(number, now)
        return len(due)

    async def _end_left(self, number: int, now: datetime) -> None:
        """Ends what was begun at vendors of accounts whose disconnecting nobody saw through to its end."""
        names = await self._tokens.names()
        accounts = Accounts(self._context.database, Tenants(None))
        for each in await accounts.disconnected(names, now - LEFT_AFTER, MOST_ENDED):
            if await self._lease.take(clock.now()) != number:
                return
            log.info("%s was disconnected and is ended at its vendor only now", pseudonym(each["_id"]))
            await ended(self._context, self._connecting, newest(each))

    async def _is_due(
        self, account: AccountDocument, known: AccountTokenDocument | None, number: int, now: datetime
    ) -> bool:
        """Whether an account's token is to be renewed now. Keeps what is known of it in line with the token it has."""
        its = newest(account)
        kind = VENDORS.get(vendor_of(its))
        expires_at = accounts_service.token_ends_at(its["connection"])
        if kind is None or expires_at is None:
            return False
        token = self._opened(its, "token")
        if known is None or (token and known["token"] != hash_of(token)):
            known = await self._adopted(its, kind, token, expires_at, known, number, now)
        if not can_renew(kind, "refresh_token" in its["connection"]):
            return False
        if known["failures"]:
            return known["next_at"] is not None and is_time(known["next_at"], expires_at, now)
        # Obtained in the future: the clock was wrong then, and the token ends earlier than is written.
        return due_at(expires_at, known["obtained_at"]) <= now or known["obtained_at"] > now + AHEAD

    async def _adopted(
        self,
        account: NewestAccount,
        kind: type[Vendor],
        token: str,
        expires_at: datetime,
        known: AccountTokenDocument | None,
        number: int,
        now: datetime,
    ) -> AccountTokenDocument:
        """What is known of a token that nothing is known of: somebody entered it by hand.

        If a renewal was under way, whoever did it ended before it was noted: then the consent is the one before.
        """
        same = known if known is not None and known["asked_at"] is not None else None
        found = token_document(
            account["_id"],
            account["brand"],
            kind,
            {**account["connection"], "token": token},
            expires_at,
            same["consent_ends_at"] if same else None,
            same["missing"] if same else [],
            same.get("app") if same else None,
            now,
        )
        found["number"] = number
        # Whichever token it has: the vendor sends what it was told to until somebody tells it otherwise.
        found["push"] = known.get("push") if known is not None else None
        await self._tokens.adopt(found, known)
        return found

    def _opened(self, account: NewestAccount, field: str) -> str:
        try:
            return accounts_service.opened(self._context.sealer, account["_id"], account["connection"], field)
        except SealedError:
            return ""

    async def _one(self, account: AccountDocument, number: int) -> bool:
        """Renews one token; says whether its vendor was away."""
        its, now = newest(account), clock.now()
        if not await self._tokens.ask(its["_id"], number, now):
            return False
        known = (await self._tokens.of([its["_id"]])).get(its["_id"])
        if known is None:
            return False
        kind = VENDORS[vendor_of(its)]
        vendor = self._connecting.table.vendor(kind.id, its["connection"].get("service", ""))
        try:
            app = self._app(vendor, known)
            held = Held(*(accounts_service.opened(
                self._context.sealer, its["_id"], its["connection"], field
            ) for field in ("token", "refresh_token")))  # fmt: skip
            grant = await vendor.renew(Visit(self._connecting.asking(vendor), app, now), held)
        except SealedError as error:
            await self._refused(its, known, number, kind, VendorError(f"its token cannot be opened: {error}"))
            return False
        except VendorError as error:
            await self._refused(its, known, number, kind, error)
            return error.again
        await self._renewed(account, known, number, kind, held, grant)
        return False

    def _app(self, vendor: Vendor, known: AccountTokenDocument) -> App:
        stored = known.get("app")
        if stored:
            return App(stored["id"], self._context.sealer.open(app_place(known["_id"]), stored["secret"]))
        found = self._connecting.table.app(vendor)
        if found is None:
            raise VendorError(f"no application at {vendor.login} is set up, so its token cannot be renewed")
        return found

    async def _renewed(
        self,
        account: AccountDocument,
        known: AccountTokenDocument,
        number: int,
        kind: type[Vendor],
        held: Held,
        grant: Grant,
    ) -> None:
        """Stores a new token, and publishes it."""
        brand, name = account["brand"], account["_id"]
        stored = await self._stored(account, held, grant)
        if not stored:
            log.warning("a token of %s was replaced while it was renewed; the newer one stays", pseudonym(name))
            await self._tokens.note(name, number, {})
            return
        consent_ends_at = grant.consent_ends_at or known["consent_ends_at"]
        missing = [each.scope for each in kind.permissions if each.scope not in (grant.scopes or ())]
        changes = {
            "token": hash_of(grant.token),
            "obtained_at": clock.now(),
            "consent_ends_at": consent_ends_at,
            "ends_at": ends_at(grant.expires_at, consent_ends_at, renewable=True, attention=False),
            "why": None,
            "attention": False,
            "failures": 0,
            "next_at": None,
            **({"missing": missing} if grant.scopes is not None and kind.id != "mastodon" else {}),
        }
        await self._tokens.note(name, number, changes)
        RENEWALS.labels(kind.platform, "renewed").inc()
        try:
            await self._context.publisher.publish(brand)
        except Exception as error:  # the publisher's own loop does it later
            log.warning("a renewed token waits for the log: %s: %.300s", type(error).__name__, error)

    async def _stored(self, account: AccountDocument, held: Held, grant: Grant) -> bool:
        """Stores a new token in its account. False if the account has another one by now, or is disconnected."""
        accounts = Accounts(self._context.database, Tenants.one(account["brand"]))
        loop = asyncio.get_running_loop()
        until = loop.time() + STORED_SECONDS
        for delay in backoff.delays():
            try:
                with pymongo.timeout(max(1.0, min(TRY_SECONDS, until - loop.time()))):
                    found = await accounts.find(account["brand"], account["_id"])
                    its = newest(found) if found is not None else None
                    if found is None or its is None or its["disconnected_at"] is not None:
                        return False
                    # It may be ours already, from a try that was not confirmed. Then it is written until it is.
                    if self._opened(its, "token") not in (held.token, grant.token):
                        return False
                    if await accounts.change(found, {"connection": self._replaced(its, grant)}):
                        return True
            except PyMongoError as error:
                if loop.time() + delay > until:
                    raise
                log.warning("a renewed token is not stored yet (%s: %.300s)", type(error).__name__, error)
            await asyncio.sleep(delay)
        return False

    def _replaced(self, account: NewestAccount, grant: Grant) -> dict[str, str]:
        """The connection with the new token, its secrets sealed."""
        new = {"token": grant.token, **({"refresh_token": grant.refresh_token} if grant.refresh_token else {})}
        found = {
            **account["connection"],
            **accounts_service.sealed(self._context.sealer, account["_id"], new),
        }
        found.pop("token_expires_at", None)
        return found | ({"token_expires_at": stamp(grant.expires_at)} if grant.expires_at is not None else {})

    async def _refused(
        self, account: NewestAccount, known: AccountTokenDocument, number: int, kind: type[Vendor], error: VendorError
    ) -> None:
        """Notes that a renewal failed, and when it is tried again."""
        expires_at = accounts_service.token_ends_at(account["connection"]) or clock.now()
        failures, over = known["failures"] + 1, not error.again and error.code in INVALID_GRANT
        attention = not error.again or expires_at <= clock.now()
        next_at = None if over else next_try(
            clock.now(), failures, expires_at, unsure=error.lost and kind.rotates
        )  # fmt: skip
        changes: Mapping[str, Any] = {
            "failures": failures,
            "next_at": next_at,
            "attention": attention,
            "why": f"its token cannot be renewed: {error}",
            "ends_at": ends_at(expires_at, known["consent_ends_at"], renewable=True, attention=attention),
        }
        await self._tokens.note(account["_id"], number, dict(changes))
        RENEWALS.labels(kind.platform, "failed" if error.again else "refused").inc()
        log.warning("the token of %s (%s) was not renewed: %s", pseudonym(account["_id"]), kind.platform, error)


def _asked_of(account: AccountDocument) -> tuple[str, str]:
    """Who is asked for an account's new token: the way to log in, and the server where there are many."""
    its = newest(account)
    return vendor_of(its), its["connection"].get("service", "")
