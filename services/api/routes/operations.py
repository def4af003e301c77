"""Liveness, readiness and metrics."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pymongo.errors import PyMongoError
from starlette.responses import PlainTextResponse

from services.api.context import ContextDep

router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> PlainTextResponse:
    """The process answers."""
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(context: ContextDep) -> PlainTextResponse:
    """503 and what is missing, until MongoDB answers and there is a producer."""
    missing = set(context.health.reasons())
    try:
        await context.database.command("ping")
    except PyMongoError:
        missing.add("mongodb")
    if missing:
        return PlainTextResponse(", ".join(sorted(missing)) + "\n", 503)
    return PlainTextResponse("ready\n")


@router.get("/metrics")
async def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
