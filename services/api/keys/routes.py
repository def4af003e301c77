"""Key routes."""

from datetime import UTC, datetime

from fastapi import APIRouter

from services.api.brands.repository import Brands
from services.api.http.context import ContextDep
from services.api.http.problems import ProblemError, invalid, not_found, responses
from services.api.http.schemas import Page
from services.api.keys.documents import KeyDocument
from services.api.keys.repository import Keys
from services.api.keys.schemas import Key, KeyInput, NewKey
from services.api.keys.service import Admin, hash_of, new_key, reaches, require

router = APIRouter(prefix="/v1", tags=["keys"])


@router.post("/keys", status_code=201, responses=responses(403))
async def create_key(new: KeyInput, who: Admin, context: ContextDep) -> NewKey:
    """Makes a key with at most the scopes and brands of the caller's. It is shown in this answer only."""
    now = datetime.now(UTC)
    for scope in new.scopes:
        require(who, scope)
    if not reaches(who, new.brands) and new.brands is None:
        raise ProblemError(403, "forbidden", "only a key for all brands can make another one for all brands")
    known = {each["_id"] for each in await Brands(context.database, who.tenants).all()}
    unknown = [brand for brand in new.brands or () if brand not in known]
    if unknown:
        raise invalid("brands", f"no brand {unknown[0]!r}, or this key cannot see it")
    if new.expires_at is not None and new.expires_at <= now:
        raise invalid("expires_at", "this time is in the past")
    key_id, key = new_key(context.environment)
    stored: KeyDocument = {
        "_id": key_id,
        "hash": hash_of(key),
        "name": new.name,
        "brands": sorted(set(new.brands)) if new.brands is not None else None,
        "scopes": sorted(set(new.scopes)),
        "created_at": now,
        "expires_at": new.expires_at.astimezone(UTC) if new.expires_at else None,
        "revoked_at": None,
    }
    await Keys(context.database).add(stored)
    return NewKey(**_key(stored).model_dump(), key=key)


@router.get("/keys", responses=responses(403))
async def list_keys(who: Admin, context: ContextDep) -> Page[Key]:
    """The keys with at most the brands of this one, without their secrets."""
    return Page(items=[_key(each) for each in await Keys(context.database).visible(who.tenants)])


@router.delete("/keys/{id}", status_code=204, responses=responses(403, 404))
async def revoke_key(id: str, who: Admin, context: ContextDep) -> None:
    """Revokes a key. It stops working at once."""
    if not await Keys(context.database).revoke(id, who.tenants, datetime.now(UTC)):
        raise not_found("key")


def _key(document: KeyDocument) -> Key:
    return Key(
        id=document["_id"],
        name=document["name"],
        brands=document["brands"],
        scopes=document["scopes"],
        created_at=document["created_at"],
        expires_at=document["expires_at"],
    )
