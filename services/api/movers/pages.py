"""The page of relationships that change."""

from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from services.api.answering import service as answering
from services.api.http.context import ContextDep
from services.api.movers import service as movers
from services.api.storage.tenants import Tenants
from services.api.web.forms import FormRoute
from services.api.web.frame import Brand, Visitor, named, page

router = APIRouter(include_in_schema=False, route_class=FormRoute)

SHOWN = 10


@router.get("/brands/{brand}/movers")
async def movers_page(brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """Who is warming, cooling, lost; buyers gone quiet."""
    now = datetime.now(UTC)
    found = await movers.movers(context.database, Tenants.one(brand["_id"]), SHOWN, now)
    first, last = answering.usual(now)
    effect = await answering.report(context.database, brand, (first.isoformat(), last.isoformat()))
    return page("movers/movers.html", who=who, brand=named(brand), movers=found, effect=effect)
