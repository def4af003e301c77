"""The page of relationships that move."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from services.api import answering, moving
from services.api.context import ContextDep
from services.api.portal.forms import FormRoute
from services.api.portal.frame import Brand, Visitor, named, page
from services.api.repositories.tenants import Tenants

router = APIRouter(include_in_schema=False, route_class=FormRoute)

SHOWN = 10


@router.get("/brands/{brand}/movers")
async def movers_page(brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """Who is warming, cooling, lost; buyers gone quiet."""
    now = datetime.now(UTC)
    found = await moving.movers(context.database, Tenants.one(brand["_id"]), SHOWN, now)
    first, last = answering.usual(now)
    effect = await answering.report(context.database, brand, (first.isoformat(), last.isoformat()))
    return page("movers.html", who=who, brand=named(brand), movers=found, effect=effect)
