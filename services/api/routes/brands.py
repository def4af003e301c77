"""Brands and their accounts."""

import secrets
from datetime import UTC, datetime

from fastapi import APIRouter

from rapport.kit.mongo import Document
from services.api.auth import Admin, AdminBrand, ReadBrand, Reader
from services.api.context import ContextDep
from services.api.problems import ProblemError, responses
from services.api.repositories.brands import Brands
from services.api.routes.publishing import confirmed
from services.api.schemas.common import Page
from services.api.schemas.settings import Account, AccountInput, Brand, BrandInput, NewAccount

router = APIRouter(prefix="/v1", tags=["brands"])


def _brand(document: Document) -> Brand:
    settings = document["settings"]
    return Brand(
        id=document["_id"],
        name=settings["name"],
        timezone=settings["timezone"],
        created_at=document["created_at"],
    )


@router.post("/brands", status_code=201, responses=responses(403, 409, 503))
async def create_brand(new: BrandInput, who: Admin, context: ContextDep) -> Brand:
    """Adds a client. Takes a key for all brands."""
    if who.brands is not None:
        raise ProblemError(403, "forbidden", "a new brand takes a key for all brands")
    now = datetime.now(UTC)
    settings = {"name": new.name, "timezone": new.timezone, "channels": []}
    brands = Brands(context.database, who.tenants)
    if not await brands.create(new.id, settings, now):
        raise ProblemError(409, "conflict", f"there is a brand {new.id!r} already")
    await confirmed(context, new.id)
    made = await brands.find(new.id)
    assert made is not None, "what is confirmed can be found"
    return _brand(made)


@router.get("/brands", responses=responses(403))
async def list_brands(who: Reader, context: ContextDep) -> Page[Brand]:
    """The brands that the key may see."""
    return Page(items=[_brand(each) for each in await Brands(context.database, who.tenants).all()])


@router.post("/brands/{brand}/accounts", status_code=201, responses=responses(403, 404, 409, 503))
async def connect_account(brand: str, new: AccountInput, tenants: AdminBrand, context: ContextDep) -> NewAccount:
    """Connects a brand's account on a platform. Its id is unique in the installation; the secret is shown this once."""
    brands = Brands(context.database, tenants)
    account = await brands.add_account(
        {
            "_id": new.id,
            "brand": brand,
            "platform": new.platform,
            "handle": new.handle,
            "connected_at": (new.connected_at or datetime.now(UTC)).astimezone(UTC),
            "door_secrets": [secrets.token_hex(32)],
            "connection": new.connection,
        }
    )
    if account is None:
        raise ProblemError(409, "conflict", f"there is an account {new.id!r} already")
    await confirmed(context, brand)
    await brands.secret_shown(new.id)
    return NewAccount(**_account(account).model_dump(), door_secret=account["door_secrets"][0])


@router.get("/brands/{brand}/accounts", responses=responses(403, 404))
async def list_accounts(brand: str, tenants: ReadBrand, context: ContextDep) -> Page[Account]:
    """A brand's accounts, without their secrets."""
    return Page(items=[_account(each) for each in await Brands(context.database, tenants).accounts(brand)])


def _account(document: Document) -> Account:
    return Account(
        id=document["_id"],
        platform=document["platform"],
        handle=document["handle"],
        connected_at=document["connected_at"],
    )
