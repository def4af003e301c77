"""Account routes: a brand's accounts on the platforms."""

from datetime import timedelta
from typing import cast

from fastapi import APIRouter, Request

from rapport.contracts.sealed import door_place
from rapport.kit import clock, mongo
from rapport.kit.sealing import SealedError, Sealer
from services.api.accounts import service
from services.api.accounts.documents import AccountChanges, AccountDocument, NewestAccount
from services.api.accounts.repository import Accounts, newest
from services.api.accounts.schemas import (
    Account,
    AccountChange,
    AccountInput,
    MissingPermission,
    NewAccount,
    RotatedSecret,
    RotationInput,
    Standing,
)
from services.api.connecting import service as connecting
from services.api.connecting.service import ConnectingDep
from services.api.http.context import ContextDep
from services.api.http.problems import ProblemError, not_found, responses, unavailable
from services.api.http.schemas import Page
from services.api.keys.service import AdminBrand, ReadBrand
from services.api.listening import service as listening
from services.api.publishing.service import confirmed

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.post("/brands/{brand}/accounts", status_code=201, responses=responses(403, 404, 409, 503))
async def connect_account(brand: str, new: AccountInput, tenants: AdminBrand, context: ContextDep) -> NewAccount:
    """Connects a brand's account on a platform, for the first time or again. The secret is shown only once.

    The id is unique in the installation, and stays the brand's after a disconnection.
    """
    account = await service.connect_account(context, tenants, brand, new)
    await Accounts(context.database, tenants).secret_shown(new.id)
    return NewAccount(**_account(account).model_dump(), door_secret=_opened(context.sealer, account))


@router.get("/brands/{brand}/accounts", responses=responses(403, 404))
async def list_accounts(brand: str, tenants: ReadBrand, context: ContextDep, request: Request) -> Page[Account]:
    """A brand's connected accounts, without their secrets."""
    found = await Accounts(context.database, tenants).connected(brand)
    zone = request.state.brand["settings"]["timezone"]
    stands = await listening.standings(context.database, found, zone, clock.now())
    logins = await connecting.logins(context, found)
    return Page(items=[_account(each, stands[each["_id"]], logins.get(each["_id"])) for each in found])


@router.get("/brands/{brand}/accounts/{account}", responses=responses(403, 404))
async def get_account(brand: str, account: str, tenants: ReadBrand, context: ContextDep, request: Request) -> Account:
    """One connected account, without its secrets."""
    stored = await service.found(Accounts(context.database, tenants), brand, account)
    known = newest(stored)
    if known["disconnected_at"] is not None:
        raise not_found("account")
    zone = request.state.brand["settings"]["timezone"]
    stands = await listening.standings(context.database, [stored], zone, clock.now())
    logins = await connecting.logins(context, [stored])
    return _account(known, stands[account], logins.get(account))


@router.patch("/brands/{brand}/accounts/{account}", responses=responses(403, 404, 409, 503))
async def change_account(
    brand: str, account: str, change: AccountChange, tenants: AdminBrand, context: ContextDep
) -> Account:
    """Changes the given fields. A list or an object replaces the previous one."""
    known = await service.found(Accounts(context.database, tenants), brand, account)
    if newest(known)["disconnected_at"] is not None:
        raise not_found("account")
    changes = cast("AccountChanges", change.model_dump(exclude_none=True))
    return _account(await service.change(context, tenants, known, changes))


@router.delete("/brands/{brand}/accounts/{account}", responses=responses(403, 404, 409, 503))
async def disconnect_account(
    brand: str, account: str, tenants: AdminBrand, context: ContextDep, with_: ConnectingDep
) -> Account:
    """Disconnects an account: nothing more is read from it, and its open exchanges are cancelled. Its history stays.

    Where Rapport told the platform to send what happens there, the platform is told to stop.
    """
    known = await service.found(Accounts(context.database, tenants), brand, account)
    now = await mongo.earlier_time(context.database)
    ended = await service.change(context, tenants, known, service.disconnected(newest(known), now))
    await connecting.ended(context, with_, newest(known))
    return _account(ended)


@router.post("/brands/{brand}/accounts/{account}/rotate-secret", responses=responses(403, 404, 409, 503))
async def rotate_secret(
    brand: str, account: str, rotation: RotationInput, tenants: AdminBrand, context: ContextDep
) -> RotatedSecret:
    """Makes a new secret for the account, shown only once. The previous one stays valid until the overlap ends.

    During an overlap another rotation is refused, because it would end the secret that senders still use. With
    `overlap_seconds` 0 it is accepted, and all previous secrets end at once.
    """
    accounts = Accounts(context.database, tenants)
    known = await service.found(accounts, brand, account)
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
            "door_secrets": [context.sealer.seal(door_place(account), service.new_secret()), before["door_secrets"][0]],
            "old_secrets_until": now + timedelta(seconds=rotation.overlap_seconds),
            "secret_shown": False,
        }
        if not await accounts.change(known, changes):
            raise service.changed_meanwhile()
    # Otherwise the newest secret was never shown, because the log was unavailable: this is the same request again.
    await confirmed(context.publisher, brand)
    rotated = await service.found(accounts, brand, account)
    await accounts.secret_shown(account)
    return RotatedSecret(
        id=account,
        door_secret=_opened(context.sealer, rotated),
        old_secret_until=rotated.get("old_secrets_until") or rotated["connected_at"],
    )


def _opened(sealer: Sealer, account: AccountDocument) -> str:
    """The newest secret of an account. Raises ProblemError (503) where no key opens it."""
    try:
        return sealer.open(door_place(account["_id"]), account["door_secrets"][0])
    except SealedError as error:
        raise unavailable(f"the account's secret cannot be opened: {error}") from error


def _standing(stands: listening.Stands) -> Standing:
    found = Standing(
        state=stands.hearing, since=stands.since, why=stands.why, checked_at=stands.checked_at,
        latest_at=stands.latest_at,
    )  # fmt: skip
    if stands.pace is not None:
        found.last_received_at = stands.pace.last_at
        found.quiet_since = stands.pace.quiet_since if stands.hearing == "quiet" else None
        found.usual_per_hour = stands.pace.per_hour
        found.found_last_day, found.usual_last_day = stands.pace.found, stands.pace.usual
        found.late_since, found.late_by_seconds = stands.pace.late_since, stands.pace.late_by
    return found


def _account(
    document: AccountDocument | NewestAccount,
    stands: listening.Stands | None = None,
    login: connecting.Login | None = None,
) -> Account:
    standing = None if stands is None else _standing(stands)
    return Account(
        id=document["_id"],
        platform=document["platform"],
        handle=document["handle"],
        staff=document.get("staff", []),
        connected_at=document["connected_at"],
        first_connected_at=min([document["connected_at"], *document.get("connections", [])]),
        disconnected_at=document.get("disconnected_at"),
        standing=standing,
        expires_at=login.ends_at if login else None,
        missing=[
            MissingPermission(scope=each.scope, purpose=each.purpose, needed=each.needed, remedy=each.remedy)
            for each in (login.missing if login else ())
        ],
    )
