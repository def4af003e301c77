"""Brand routes."""

from datetime import UTC, datetime

from fastapi import APIRouter

from services.api.brands.documents import BrandDocument, BrandSettings
from services.api.brands.repository import Brands
from services.api.brands.schemas import Brand, BrandInput
from services.api.http.context import ContextDep
from services.api.http.problems import ProblemError, responses
from services.api.http.schemas import Page
from services.api.keys.service import Admin, Reader
from services.api.publishing.service import confirmed

router = APIRouter(prefix="/v1", tags=["brands"])


def _brand(document: BrandDocument) -> Brand:
    settings = document["settings"]
    return Brand(
        id=document["_id"],
        name=settings["name"],
        timezone=settings["timezone"],
        created_at=document["created_at"],
    )


@router.post("/brands", status_code=201, responses=responses(403, 409, 503))
async def create_brand(new: BrandInput, who: Admin, context: ContextDep) -> Brand:
    """Adds a client. Needs a key for all brands."""
    if who.brands is not None:
        raise ProblemError(403, "forbidden", "adding a brand needs a key for all brands")
    now = datetime.now(UTC)
    settings: BrandSettings = {"name": new.name, "timezone": new.timezone, "channels": []}
    brands = Brands(context.database, who.tenants)
    if not await brands.create(new.id, settings, now):
        raise ProblemError(409, "conflict", f"there is already a brand {new.id!r}")
    await confirmed(context.publisher, new.id)
    made = await brands.find(new.id)
    assert made is not None, "a confirmed brand can be found"
    return _brand(made)


@router.get("/brands", responses=responses(403))
async def list_brands(who: Reader, context: ContextDep) -> Page[Brand]:
    """The brands that the key can see."""
    return Page(items=[_brand(each) for each in await Brands(context.database, who.tenants).all()])
