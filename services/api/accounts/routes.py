"""Account routes: a brand's accounts on the platforms."""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

from fastapi import APIRouter

from rapport.contracts.sealed import changed_connection, door_place
from rapport.kit import clock
from rapport.kit.sealing import SealedError, Sealer
from services.api.accounts import connections
from services.api.accounts.documents import AccountChanges, AccountDocument, NewestAccount
from services.api.accounts.repository import Accounts, newest
from services.api.accounts.schemas import (
    Account,
    AccountChange,
    AccountInput,
    NewAccount,
    RotatedSecret,
    RotationInput,
    Standing,
)
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError, invalid, not_found, responses, unavailable
from services.api.http.schemas import Page
from services.api.keys.service import AdminBrand, ReadBrand
from services.api.listening import service as listening
from services.api.publishing.service import confirmed

router = APIRouter(prefix="/v1", tags=["accounts"])

_FINEST = timedelta(milliseconds=1)


@router.post("/brands/{brand}/accounts", status_code=201, responses=responses(403, 404, 409, 503))
async def connect_account(brand: str, new: AccountInput, tenants: AdminBrand, context: ContextDep) -> NewAccount:
    """Connects a brand's account on a platform, for the first time or again. The secret is shown only once.

    The id is unique in the installation, and stays the brand's after a disconnection.
    """
    connections.check(new.platform, new.connection)
    accounts = Accounts(context.database, tenants)
    await _check_owner(accounts, brand, new.platform, new.connection)
    known = await accounts.find(brand, new.id)
    if known is not None:
        await _connect_again(accounts, known, new, context.sealer)
    else:
        first = _connected(new, brand, new.connected_at or clock.now(), [], [], context.sealer)
        if not await accounts.add(new.id, first):
            raise _taken(new.id)
    await confirmed(context.publisher, brand)
    account = await _found(accounts, brand, new.id)
    await accounts.secret_shown(new.id)
    return NewAccount(**_account(account).model_dump(), door_secret=_opened(context.sealer, account))


async def _connect_again(accounts: Accounts, known: AccountDocument, new: AccountInput, sealer: Sealer) -> None:
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
            raise _changed_meanwhile()
        return
    if new.connected_at is not None and new.connected_at <= ended_at:
        raise invalid("connected_at", f"the account was connected until {ended_at.isoformat()}")
    at = new.connected_at or max(clock.now(), ended_at + _FINEST)
    changes = _connected(new, before["brand"], at, _connections(before), before["disconnections"], sealer)
    changes["secret_shown"] = False
    if not await accounts.change(known, changes):
        raise _changed_meanwhile()


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
        "door_secrets": [sealer.seal(door_place(new.id), _new_secret())],
        "old_secrets_until": None,
        "connected_at": at,
        "disconnected_at": None,
        "connections": [*connections, at],
        "disconnections": disconnections,
    }


@router.get("/brands/{brand}/accounts", responses=responses(403, 404))
async def list_accounts(brand: str, tenants: ReadBrand, context: ContextDep) -> Page[Account]:
    """A brand's connected accounts, without their secrets."""
    found = await Accounts(context.database, tenants).connected(brand)
    stands = await listening.standings(context.database, found, clock.now())
    return Page(items=[_account(each, stands[each["_id"]]) for each in found])


@router.get("/brands/{brand}/accounts/{account}", responses=responses(403, 404))
async def get_account(brand: str, account: str, tenants: ReadBrand, context: ContextDep) -> Account:
    """One connected account, without its secrets."""
    stored = await _found(Accounts(context.database, tenants), brand, account)
    known = newest(stored)
    if known["disconnected_at"] is not None:
        raise not_found("account")
    stands = await listening.standings(context.database, [stored], clock.now())
    return _account(known, stands[account])


@router.patch("/brands/{brand}/accounts/{account}", responses=responses(403, 404, 409, 503))
async def change_account(
    brand: str, account: str, change: AccountChange, tenants: AdminBrand, context: ContextDep
) -> Account:
    """Changes the given fields. A list or an object replaces the previous one."""
    accounts = Accounts(context.database, tenants)
    known = await _found(accounts, brand, account)
    if newest(known)["disconnected_at"] is not None:
        raise not_found("account")
    if change.connection is not None:
        connections.check(known["platform"], change.connection)
        await _check_owner(accounts, brand, known["platform"], change.connection)
    changes = cast("AccountChanges", change.model_dump(exclude_none=True))
    if change.connection is not None:
        changes["connection"] = changed_connection(account, change.connection, context.sealer.seal)
    return await _changed(context, accounts, known, changes)


@router.delete("/brands/{brand}/accounts/{account}", responses=responses(403, 404, 409, 503))
async def disconnect_account(brand: str, account: str, tenants: AdminBrand, context: ContextDep) -> Account:
    """Disconnects an account: nothing more is read from it, and its open exchanges are cancelled. Its history stays."""
    accounts = Accounts(context.database, tenants)
    known = await _found(accounts, brand, account)
    before = newest(known)
    changes: AccountChanges = {}
    if before["disconnected_at"] is None:
        at = max(clock.now(), before["connected_at"] + _FINEST)
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
    """Makes a new secret for the account, shown only once. The previous one stays valid until the overlap ends.

    During an overlap another rotation is refused, because it would end the secret that senders still use. With
    `overlap_seconds` 0 it is accepted, and all previous secrets end at once.
    """
    accounts = Accounts(context.database, tenants)
    known = await _found(accounts, brand, account)
    before = newest(known)
    if before["disconnected_at"] is not None:
        raise not_found("account")
    if before["secret_shown"]:
        now = clock.now()
        until = before["old_secrets_until"]
        if rotation.overlap_seconds and until is not None and now < until:
            raise ProblemError(
                409,
                "conflict",
                f"a rotation is under way: the previous secret is valid until {until.isoformat()}. Rotate again after "
                "that, or with overlap_seconds 0, which ends every secret but the new one at once",
            )
        changes: AccountChanges = {
            "door_secrets": [context.sealer.seal(door_place(account), _new_secret()), before["door_secrets"][0]],
            "old_secrets_until": now + timedelta(seconds=rotation.overlap_seconds),
            "secret_shown": False,
        }
        if not await accounts.change(known, changes):
            raise _changed_meanwhile()
    # Otherwise the newest secret was never shown, because the log was unavailable: this is the same request again.
    await confirmed(context.publisher, brand)
    rotated = await _found(accounts, brand, account)
    await accounts.secret_shown(account)
    return RotatedSecret(
        id=account,
        door_secret=_opened(context.sealer, rotated),
        old_secret_until=rotated.get("old_secrets_until") or rotated["connected_at"],
    )


async def _changed(context: Context, accounts: Accounts, known: AccountDocument, changes: AccountChanges) -> Account:
    """The account once the log has the changes, and any that were stored before."""
    if changes and not await accounts.change(known, changes):
        raise _changed_meanwhile()
    await confirmed(context.publisher, known["brand"])
    return _account(await _found(accounts, known["brand"], known["_id"]))


async def _found(accounts: Accounts, brand: str, id: str) -> AccountDocument:
    found = await accounts.find(brand, id)
    if found is None:
        raise not_found("account")
    return found


def _connections(account: NewestAccount) -> list[datetime]:
    return account.get("connections", [account["connected_at"]])


def _opened(sealer: Sealer, account: AccountDocument) -> str:
    """The newest secret of an account. Raises ProblemError (503) where no key opens it."""
    try:
        return sealer.open(door_place(account["_id"]), account["door_secrets"][0])
    except SealedError as error:
        raise unavailable(f"the account's secret cannot be opened: {error}") from error


def _new_secret() -> str:
    return secrets.token_hex(32)


async def _check_owner(accounts: Accounts, brand: str, platform: str, connection: Mapping[str, str]) -> None:
    """Raises ProblemError (409) if another brand has connected the same account of a platform.

    Its webhooks, private messages included, would go to both: the platform's id of an account is no secret.
    """
    found = connections.itself(platform, connection)
    if found is not None and await accounts.of_another_brand(brand, platform, *found):
        raise ProblemError(409, "conflict", f"the account with {found[0]} {found[1]!r} is connected to another client")


def _taken(id: str) -> ProblemError:
    return ProblemError(409, "conflict", f"there is already an account {id!r}")


def _changed_meanwhile() -> ProblemError:
    return ProblemError(409, "conflict", "somebody else changed this account at the same time; read it again")


def _account(document: AccountDocument | NewestAccount, stands: listening.Stands | None = None) -> Account:
    standing = None if stands is None or stands.hearing == "no_account" else Standing(
        state=stands.hearing, since=stands.since, why=stands.why, checked_at=stands.checked_at,
        latest_at=stands.latest_at,
    )  # fmt: skip
    return Account(
        id=document["_id"],
        platform=document["platform"],
        handle=document["handle"],
        staff=document.get("staff", []),
        connected_at=document["connected_at"],
        first_connected_at=min([document["connected_at"], *document.get("connections", [])]),
        disconnected_at=document.get("disconnected_at"),
        standing=standing,
    )
