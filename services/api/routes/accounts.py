"""A brand's accounts on the platforms."""

import secrets
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter

from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api import connections
from services.api.auth import AdminBrand, ReadBrand
from services.api.context import Context, ContextDep
from services.api.problems import ProblemError, invalid, not_found, responses
from services.api.repositories.accounts import Accounts, newest
from services.api.routes.publishing import confirmed
from services.api.schemas.common import Page
from services.api.schemas.settings import (
    Account,
    AccountChange,
    AccountInput,
    NewAccount,
    RotatedSecret,
    RotationInput,
)

router = APIRouter(prefix="/v1", tags=["accounts"])

_FINEST = timedelta(milliseconds=1)


@router.post("/brands/{brand}/accounts", status_code=201, responses=responses(403, 404, 409, 503))
async def connect_account(brand: str, new: AccountInput, tenants: AdminBrand, context: ContextDep) -> NewAccount:
    """Connects a brand's account on a platform, for the first time or again. The secret is shown this once.

    Its id is unique in the installation, and stays the brand's after it was disconnected.
    """
    connections.check(new.platform, new.connection)
    accounts = Accounts(context.database, tenants)
    known = await accounts.find(brand, new.id)
    if known is not None:
        await _connect_again(accounts, known, new)
    elif not await accounts.add(_connected(new, brand, new.connected_at or _now(), [], [])):
        raise _taken(new.id)
    await confirmed(context, brand)
    account = await _found(accounts, brand, new.id)
    await accounts.secret_shown(new.id)
    return NewAccount(**_account(account).model_dump(), door_secret=account["door_secrets"][0])


async def _connect_again(accounts: Accounts, known: Document, new: AccountInput) -> None:
    before = newest(known)
    if before["platform"] != new.platform:
        raise ProblemError(409, "conflict", f"the account {new.id!r} is on {before['platform']}, not on {new.platform}")
    ended_at = before["disconnected_at"]
    if ended_at is None:
        # Its secret was shown to nobody where the request that made it failed, so this is that request again.
        if before["secret_shown"] or before["handle"] != new.handle:
            raise _taken(new.id)
        return
    if new.connected_at is not None and new.connected_at <= ended_at:
        raise invalid("connected_at", f"the account was connected until {ended_at.isoformat()}")
    at = new.connected_at or max(_now(), ended_at + _FINEST)
    changes = _connected(new, before["brand"], at, _connections(before), before["disconnections"])
    del changes["_id"]
    if not await accounts.change(known, {**changes, "secret_shown": False}):
        raise _changed_meanwhile()


def _connected(
    new: AccountInput, brand: str, at: datetime, connections: list[datetime], disconnections: list[datetime]
) -> Document:
    """The account as it is stored once it is connected at `at`, after these times before."""
    return {
        "_id": new.id,
        "brand": brand,
        "platform": new.platform,
        "handle": new.handle,
        "connection": new.connection,
        "staff": new.staff,
        "door_secrets": [_new_secret()],
        "old_secrets_until": None,
        "connected_at": at,
        "disconnected_at": None,
        "connections": [*connections, at],
        "disconnections": disconnections,
    }


@router.get("/brands/{brand}/accounts", responses=responses(403, 404))
async def list_accounts(brand: str, tenants: ReadBrand, context: ContextDep) -> Page[Account]:
    """A brand's connected accounts, without their secrets."""
    return Page(items=[_account(each) for each in await Accounts(context.database, tenants).connected(brand)])


@router.get("/brands/{brand}/accounts/{account}", responses=responses(403, 404))
async def get_account(brand: str, account: str, tenants: ReadBrand, context: ContextDep) -> Account:
    """One connected account, without its secrets."""
    known = newest(await _found(Accounts(context.database, tenants), brand, account))
    if known["disconnected_at"] is not None:
        raise not_found("account")
    return _account(known)


@router.patch("/brands/{brand}/accounts/{account}", responses=responses(403, 404, 409, 503))
async def change_account(
    brand: str, account: str, change: AccountChange, tenants: AdminBrand, context: ContextDep
) -> Account:
    """Changes what is given; a list or an object replaces the one before."""
    accounts = Accounts(context.database, tenants)
    known = await _found(accounts, brand, account)
    if newest(known)["disconnected_at"] is not None:
        raise not_found("account")
    if change.connection is not None:
        connections.check(known["platform"], change.connection)
    return await _changed(context, accounts, known, change.model_dump(exclude_none=True))


@router.delete("/brands/{brand}/accounts/{account}", responses=responses(403, 404, 409, 503))
async def disconnect_account(brand: str, account: str, tenants: AdminBrand, context: ContextDep) -> Account:
    """Disconnects it: nothing of it is taken in any more, and what waits on it waits no more. Its history stays."""
    accounts = Accounts(context.database, tenants)
    known = await _found(accounts, brand, account)
    before = newest(known)
    changes = {}
    if before["disconnected_at"] is None:
        at = max(_now(), before["connected_at"] + _FINEST)
        changes = {
            "disconnected_at": at,
            "connections": _connections(before),
            "disconnections": [*before.get("disconnections", []), at],
        }
    return await _changed(context, accounts, known, changes)


@router.post("/brands/{brand}/accounts/{account}/rotate-secret", responses=responses(403, 404, 409, 503))
async def rotate_secret(
    brand: str, account: str, rotation: RotationInput, tenants: AdminBrand, context: ContextDep
) -> RotatedSecret:
    """Makes a new secret for the account's door, shown this once. The one before is taken until the overlap is over.

    While a rotation is under way another one is refused, as it would end the secret that senders still use; with
    `overlap_seconds` 0 it is done, and every secret before ends at once.
    """
    accounts = Accounts(context.database, tenants)
    known = await _found(accounts, brand, account)
    before = newest(known)
    if before["disconnected_at"] is not None:
        raise not_found("account")
    if before["secret_shown"]:
        now = _now()
        until = before["old_secrets_until"]
        if rotation.overlap_seconds and until is not None and now < until:
            raise ProblemError(
                409,
                "conflict",
                f"a rotation is under way: the secret before this one is taken until {until.isoformat()}. Rotate again "
                "after that, or with overlap_seconds 0, which ends every secret but the new one at once",
            )
        changes = {
            "door_secrets": [_new_secret(), before["door_secrets"][0]],
            "old_secrets_until": now + timedelta(seconds=rotation.overlap_seconds),
            "secret_shown": False,
        }
        if not await accounts.change(known, changes):
            raise _changed_meanwhile()
    # Else the newest secret was shown to nobody, as the log was away: this is the same request again.
    await confirmed(context, brand)
    rotated = await _found(accounts, brand, account)
    await accounts.secret_shown(account)
    return RotatedSecret(
        id=account,
        door_secret=rotated["door_secrets"][0],
        old_secret_until=rotated.get("old_secrets_until") or rotated["connected_at"],
    )


async def _changed(context: Context, accounts: Accounts, known: Document, changes: Document) -> Account:
    """The account once the log has the changes. Without any, what was stored before is seen into the log."""
    if changes and not await accounts.change(known, changes):
        raise _changed_meanwhile()
    await confirmed(context, known["brand"])
    return _account(await _found(accounts, known["brand"], known["_id"]))


async def _found(accounts: Accounts, brand: str, id: str) -> Document:
    found = await accounts.find(brand, id)
    if found is None:
        raise not_found("account")
    return found


def _connections(account: Document) -> list[datetime]:
    found: list[datetime] = account.get("connections", [account["connected_at"]])
    return found


def _new_secret() -> str:
    return secrets.token_hex(32)


def _now() -> datetime:
    """In whole milliseconds, which is how it is stored."""
    return utc(ms(datetime.now(UTC)))


def _taken(id: str) -> ProblemError:
    return ProblemError(409, "conflict", f"there is an account {id!r} already")


def _changed_meanwhile() -> ProblemError:
    return ProblemError(409, "conflict", "somebody else changed this account at the same time; look at it again")


def _account(document: Document) -> Account:
    """An account as confirmed."""
    names = ("platform", "handle", "connected_at")
    return Account(
        id=document["_id"],
        staff=document.get("staff", []),
        disconnected_at=document.get("disconnected_at"),
        **{name: document[name] for name in names},
    )
