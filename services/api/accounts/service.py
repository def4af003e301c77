"""What routes, pages and other features do with accounts, and ask about them."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from rapport.contracts.sealed import changed_connection, connection_place, door_place
from rapport.kit import mongo
from rapport.kit.sealing import Sealer
from services.api.accounts import connections
from services.api.accounts.documents import AccountChanges, AccountDocument, NewestAccount
from services.api.accounts.repository import Accounts, newest
from services.api.accounts.schemas import AccountInput
from services.api.http.context import Context
from services.api.http.problems import ProblemError, invalid, not_found
from services.api.publishing.service import confirmed
from services.api.storage.tenants import Tenants

_FINEST = timedelta(milliseconds=1)
_ASKED = {
    "facebook": "token", "instagram": "token", "linkedin": "token", "mastodon": "token", "threads": "token",
    "tiktok": "token", "x": "token", "youtube": "channel",
}  # fmt: skip
"""The field without which an account of a platform that is asked for news is not."""


_WRITES = {"bluesky": "password"}
"""The field that lets an account of a platform be written to, where it is not `token`."""


_ITSELF = {"bluesky": "did", "mastodon": "user"}
"""The field with the platform's id of the account, where a connection can do without."""


def may_write(account: AccountDocument) -> bool:
    """Whether an account's connection has what is needed to answer with it."""
    return bool(account["connection"].get(_WRITES.get(account["platform"], "token"), "").strip())


def is_asked(account: AccountDocument) -> bool:
    """Whether ingest asks the platform for news of an account, and says how it stands."""
    return bool(account["connection"].get(_ASKED.get(account["platform"], ""), "").strip())


def itself(account: AccountDocument | NewestAccount) -> str | None:
    """The platform's id of an account; None where its connection does not have it."""
    found = connections.itself(account["platform"], account["connection"])
    if account["platform"] in _ITSELF:
        return account["connection"].get(_ITSELF[account["platform"]]) or None
    return found[1] if found else None


def known_by(account: NewestAccount) -> tuple[str, list[str]]:
    """The field of an account's connection with the platform's id of it, and how that may be written."""
    found = connections.itself(account["platform"], account["connection"])
    return (found[0], connections.spellings(account["platform"], found[1])) if found else ("", [])


def token_ends_at(connection: Mapping[str, str]) -> datetime | None:
    """When the token in a connection ends; None if it does not."""
    return connections.expiry(connection)


def without_token(connection: Mapping[str, str]) -> dict[str, str]:
    """A connection without its token and what belongs to it."""
    return {name: value for name, value in connection.items() if name not in (*connections.OF_A_TOKEN, "login")}


def opened(sealer: Sealer, account: str, connection: Mapping[str, str], field: str) -> str:
    """A secret of a connection; empty where there is none. Raises SealedError."""
    return sealer.open(connection_place(account, field), connection.get(field, ""))


def sealed(sealer: Sealer, account: str, connection: Mapping[str, str]) -> dict[str, str]:
    """A connection, or a part of one, with its secrets sealed."""
    return changed_connection(account, connection, sealer.seal)


async def connect_account(context: Context, tenants: Tenants, brand: str, new: AccountInput) -> AccountDocument:
    """Connects an account, for the first time or again, and returns it once the log has it. Raises ProblemError."""
    connections.check(new.platform, new.connection)
    accounts = Accounts(context.database, tenants)
    await _check_owner(accounts, brand, new.platform, new.connection)
    known = await accounts.find(brand, new.id)
    await _check_room(context, brand, known, {"connection": new.connection, "staff": new.staff})
    now = await mongo.earlier_time(context.database)
    if known is not None:
        await _connect_again(accounts, known, new, context.sealer, now)
    else:
        first = _connected(new, brand, new.connected_at or now, [], [], context.sealer)
        if not await accounts.add(new.id, first):
            raise _taken(new.id)
    await confirmed(context.publisher, brand)
    return await found(accounts, brand, new.id)


async def change(
    context: Context, tenants: Tenants, known: AccountDocument, changes: AccountChanges
) -> AccountDocument:
    """The account once the log has the changes, and any that were stored before. Raises ProblemError.

    `known` is as the repository gave it; secrets in a new connection are sealed here.
    """
    accounts = Accounts(context.database, tenants)
    connection = changes.get("connection")
    if connection is not None:
        connections.check(known["platform"], connection)
        await _check_owner(accounts, known["brand"], known["platform"], connection)
        changes["connection"] = changed_connection(known["_id"], connection, context.sealer.seal)
    await _check_room(context, known["brand"], known, changes)
    if changes and not await accounts.change(known, changes):
        raise changed_meanwhile()
    await confirmed(context.publisher, known["brand"])
    return await found(accounts, known["brand"], known["_id"])


async def found(accounts: Accounts, brand: str, id: str) -> AccountDocument:
    """One account as stored. Raises ProblemError (404)."""
    known = await accounts.find(brand, id)
    if known is None:
        raise not_found("account")
    return known


def disconnected(account: NewestAccount, now: datetime) -> AccountChanges:
    """The changes that end a connection `now`; none if it has ended."""
    if account["disconnected_at"] is not None:
        return {}
    at = max(now, account["connected_at"] + _FINEST)
    return {
        "disconnected_at": at,
        "connections": _connections(account),
        "disconnections": [*account.get("disconnections", []), at],
    }


def new_secret() -> str:
    """A secret for the generic door."""
    return secrets.token_hex(32)


def changed_meanwhile() -> ProblemError:
    """409 for a change of something that has changed since it was read."""
    return ProblemError(409, "conflict", "somebody else changed this account at the same time; read it again")


async def _connect_again(
    accounts: Accounts, known: AccountDocument, new: AccountInput, sealer: Sealer, now: datetime
) -> None:
    before = newest(known)
    if before["platform"] != new.platform:
        raise ProblemError(409, "conflict", f"the account {new.id!r} is on {before['platform']}, not on {new.platform}")
    ended_at = before["disconnected_at"]
    if ended_at is None:
        # If its secret was never shown, the request that made it has failed, and this is that request again.
        if before["secret_shown"] or before["handle"] != new.handle:
            raise _taken(new.id)
        corrected: AccountChanges = {
            "connection": changed_connection(new.id, new.connection, sealer.seal),
            "staff": new.staff,
        }
        if not await accounts.change(known, corrected):
            raise changed_meanwhile()
        return
    if new.connected_at is not None and new.connected_at <= ended_at:
        raise invalid("connected_at", f"the account was connected until {ended_at.isoformat()}")
    at = new.connected_at or max(now, ended_at + _FINEST)
    changes = _connected(new, before["brand"], at, _connections(before), before["disconnections"], sealer)
    changes["secret_shown"] = False
    if not await accounts.change(known, changes):
        raise changed_meanwhile()


def _connected(
    new: AccountInput,
    brand: str,
    at: datetime,
    connections: list[datetime],
    disconnections: list[datetime],
    sealer: Sealer,
) -> AccountChanges:
    """What is stored of an account connected at `at`, after these earlier connections and disconnections."""
    return {
        "brand": brand,
        "platform": new.platform,
        "handle": new.handle,
        "connection": changed_connection(new.id, new.connection, sealer.seal),
        "staff": new.staff,
        "door_secrets": [sealer.seal(door_place(new.id), new_secret())],
        "old_secrets_until": None,
        "connected_at": at,
        "disconnected_at": None,
        "connections": [*connections, at],
        "disconnections": disconnections,
    }


def _connections(account: NewestAccount) -> list[datetime]:
    return account.get("connections", [account["connected_at"]])


async def _check_owner(accounts: Accounts, brand: str, platform: str, connection: Mapping[str, str]) -> None:
    """Raises ProblemError (409) if another brand has connected the same account of a platform.

    Its webhooks, private messages included, would go to both: the platform's id of an account is no secret.
    """
    its = connections.itself(platform, connection)
    if its is None:
        return
    if await accounts.of_another_brand(brand, platform, its[0], connections.spellings(platform, its[1])):
        raise ProblemError(409, "conflict", f"the account with {its[0]} {its[1]!r} is connected to another client")


async def _check_room(context: Context, brand: str, known: AccountDocument | None, changes: AccountChanges) -> None:
    """Raises ProblemError (422) if the brand's record would become larger than the log takes.

    It would be stored, and never be in force. What makes it smaller is always taken.
    """
    before: Mapping[str, object] = newest(known) if known else {}
    if before.get("disconnected_at") is not None:
        before = {}  # the record does not have it
    changed = [name for name in ("connection", "staff") if name in changes]
    after: Mapping[str, object] = changes
    grown = sum(_bytes(after[name]) - _bytes(before.get(name)) for name in changed)
    if grown > 0 and not await context.publisher.has_room(brand, grown):
        raise invalid("staff", "this client's accounts, with their staff, are more than can be passed on: name fewer")


def _bytes(field: object) -> int:
    return len(msgspec.json.encode(field))


def _taken(id: str) -> ProblemError:
    return ProblemError(409, "conflict", f"there is already an account {id!r}")
