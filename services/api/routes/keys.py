"""Keys."""

from datetime import UTC, datetime

from fastapi import APIRouter

from services.api.auth import Admin, hash_of, new_key, reaches, require
from services.api.context import ContextDep
from services.api.problems import ProblemError, invalid, not_found, responses
from services.api.repositories.brands import Brands
from services.api.repositories.keys import Keys
from services.api.schemas.common import Page
from services.api.schemas.settings import Key, KeyInput, NewKey

router = APIRouter(prefix="/v1", tags=["keys"])


@router.post("/keys", status_code=201, responses=responses(403))
async def create_key(new: KeyInput, who: Admin, context: ContextDep) -> NewKey:
    """Makes a key that reaches no further than the one that makes it. The key is in this answer and in no other."""
    now = datetime.now(UTC)
    for scope in new.scopes:
        require(who, scope)
    if not reaches(who, new.brands) and new.brands is None:
        raise ProblemError(403, "forbidden", "a key for all brands takes one for all brands to make it")
    known = {each["_id"] for each in await Brands(context.database, who.tenants).all()}
    unknown = [brand for brand in new.brands or () if brand not in known]
    if unknown:
        raise invalid("brands", f"there is no brand {unknown[0]!r} here that this key may see")
    if new.expires_at is not None and new.expires_at <= now:
        raise invalid("expires_at", "this time is over")
    key_id, key = new_key(context.environment)
    stored: dict[str, object] = {
        "_id": key_id,
        "name": new.name,
        "brands": sorted(set(new.brands)) if new.brands is not None else None,
        "scopes": sorted(set(new.scopes)),
        "created_at": now,
        "expires_at": new.expires_at.astimezone(UTC) if new.expires_at else None,
    }
    await Keys(context.database).add({**stored, "hash": hash_of(key)})
    return NewKey(**_key(stored).model_dump(), key=key)


@router.get("/keys", responses=responses(403))
async def list_keys(who: Admin, context: ContextDep) -> Page[Key]:
    """The keys that reach no further than this one, without their secrets."""
    return Page(items=[_key(each) for each in await Keys(context.database).visible(who.tenants)])


@router.delete("/keys/{id}", status_code=204, responses=responses(403, 404))
async def revoke_key(id: str, who: Admin, context: ContextDep) -> None:
    """Ends a key at once."""
    if not await Keys(context.database).revoke(id, who.tenants, datetime.now(UTC)):
        raise not_found("key")


def _key(document: dict[str, object]) -> Key:
    names = ("name", "brands", "scopes", "created_at", "expires_at")
    return Key.model_validate({"id": document["_id"], **{name: document[name] for name in names}})
