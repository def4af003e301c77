"""Liveness, for load balancers. Readiness and metrics are on the internal port."""

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")
