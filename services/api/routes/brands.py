"""Brands."""

from datetime import UTC, datetime

from fastapi import APIRouter

from rapport.kit.mongo import Document
from services.api.auth import Admin, Reader
from services.api.context import ContextDep
from services.api.problems import ProblemError, responses
from services.api.repositories.brands import Brands
from services.api.routes.publishing import confirmed
from services.api.schemas.common import Page
from services.api.schemas.settings import Brand, BrandInput

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
