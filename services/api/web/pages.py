"""The portal: login, logout and the pages of all features."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from services.api.calendar import pages as calendar
from services.api.calendar import plan_pages as plans
from services.api.campaigns import pages as campaigns
from services.api.campaigns import public_pages as public
from services.api.communities import pages as communities
from services.api.connecting import pages as connecting
from services.api.consistency import pages as consistency
from services.api.exchanges import pages as exchange
from services.api.followers import pages as follower
from services.api.http.context import ContextDep
from services.api.identities import pages as identities
from services.api.keys.service import principal_of
from services.api.mix import pages as mix
from services.api.movers import pages as movers
from services.api.new_relationships import pages as new
from services.api.overview import pages as overview
from services.api.web import forms
from services.api.web.form_fields import LONGEST_NEXT, TypedText
from services.api.web.forms import LARGEST_DRAFT
from services.api.web.frame import (
    COOKIE,
    HEADERS,
    STATIC,
    NotLoggedInError,
    own_path,
    page,
    same_origin,
)
from services.api.web.sessions import LIFETIME, Sessions

router = APIRouter(include_in_schema=False)

MODULES = (
    overview,
    calendar,
    consistency,
    exchange,
    follower,
    identities,
    movers,
    mix,
    new,
    campaigns,
    communities,
    connecting,
    plans,
    public,
)
"""The features' pages."""


@router.get("/login")
async def login_page(next: str = "/") -> HTMLResponse:
    """The form that asks for a key."""
    return page("web/login.html", next=own_path(next), wrong=False, typed="", ended=False)


@router.post("/login")
async def login(
    request: Request,
    context: ContextDep,
    key: TypedText,
    next: Annotated[str, Form(max_length=LONGEST_NEXT)] = "/",
    typed: Annotated[str, Form(max_length=LARGEST_DRAFT)] = "",
) -> Response:
    """Opens a session for a key that can read. Restores what was `typed` before the last session ended."""
    same_origin(request)
    who = await principal_of(key.strip(), context)
    if who is None or not who.may("read"):
        context.rates.failed(request)
        return page("web/login.html", 401, next=own_path(next), wrong=True, typed=typed, ended=bool(typed))
    leads_to = own_path(next)
    if typed:
        leads_to = await forms.keep_draft(context, who.key, leads_to, typed)
    response = RedirectResponse(leads_to, 303, headers=HEADERS)
    response.set_cookie(
        COOKIE,
        await Sessions(context.database).begin(who.key, datetime.now(UTC)),
        max_age=int(LIFETIME.total_seconds()),
        httponly=True,
        # Strict would drop it when somebody follows a link in a mail, or comes back from a vendor. `same_origin`
        # refuses other sites' forms, and no GET changes anything but the way back from a vendor, which has a `state`.
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.post("/logout")
async def logout(request: Request, context: ContextDep) -> Response:
    """Ends the session, for every copy of its cookie."""
    same_origin(request)
    await Sessions(context.database).end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/login", 303, headers=HEADERS)
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return response


def install(app: FastAPI) -> None:
    """Adds the portal to the application."""

    @app.exception_handler(NotLoggedInError)
    async def _login_first(request: Request, _error: Exception) -> Response:
        if "hx-request" in request.headers:
            return Response(status_code=401, headers={**HEADERS, "HX-Redirect": "/login"})
        # A POST cannot be repeated after the login.
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        wanted = wanted if request.method == "GET" else "/"
        return RedirectResponse("/login" if wanted == "/" else f"/login?next={quote(wanted)}", 303, headers=HEADERS)

    for its in (router, *(module.router for module in MODULES)):
        app.router.routes.extend(its.routes)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.state.problem_page = lambda error: page("web/problem.html", error.status, error=error)
