"""What every page of the portal needs: templates, headers, the visitor and the brand."""

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Query, Request
from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from starlette.responses import HTMLResponse

from rapport.domain import figures
from rapport.domain.arrivals.lateness import WORTH_TELLING
from rapport.domain.platforms import platform_name
from rapport.domain.retention import text_over
from rapport.kit.text import web_address
from services.api.brands.documents import BrandDocument
from services.api.brands.repository import Brands
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError, not_found
from services.api.http.schemas import LONGEST_WHY
from services.api.keys.service import Principal, principal_by_id, require
from services.api.web import wording
from services.api.web.form_fields import form_fields
from services.api.web.sessions import Sessions

STATIC = Path(__file__).parent / "static"
CLOSED_SHOWN = 4
COOKIE = "rapport_session"

WITH_PAGES = (
    "calendar",
    "campaigns",
    "communities",
    "connecting",
    "consistency",
    "exchanges",
    "followers",
    "identities",
    "mix",
    "movers",
    "new_relationships",
    "overview",
    "web",
)
"""Packages with templates. A template's name begins with its package: `calendar/plan.html`."""

SECTIONS = (
    ("", "Today"),
    ("exchanges", "Conversations"),
    ("followers", "People"),
    ("movers", "Changes"),
    ("calendar", "Calendar"),
    ("mix", "Mix"),
    ("consistency", "Consistency"),
    ("new", "New people"),
    ("campaigns", "Campaigns"),
    ("communities", "Communities"),
    ("accounts", "Accounts"),
)
"""A brand's sections: the path below the brand's, and the label."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: with it a browser hides the origin of our own forms too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


_OWN_PATH = re.compile(r"/(?!/)[^\\\x00-\x20\x7f]*")


class NotLoggedInError(Exception):
    """The page needs a session."""


@cache
def _version() -> str:
    """Changes with any static file, so that browsers can cache them for long."""
    files = sorted(path for path in STATIC.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PrefixLoader({name: PackageLoader(f"services.api.{name}") for name in WITH_PAGES}),
        autoescape=True,
        finalize=wording.shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=wording.moment,
        exactly=wording.exactly,
        day=wording.day,
        weekday=wording.weekday,
        clock=wording.clock,
        platform=platform_name,
        until=wording.until,
        ago=wording.ago,
        percent=figures.percent,
        whole_percent=figures.whole_percent,
        counted=figures.counted,
        number=figures.number,
        noun=figures.noun,
        span=wording.span,
        within=wording.within,
        initials=wording.initials,
        weblink=web_address,
        written=wording.ours,
        path=lambda text: quote(text, safe=""),
        iso=lambda at: at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    environment.globals.update(
        SECTIONS=SECTIONS,
        STATES=wording.STATES,
        STAGES=wording.STAGES,
        STEPS=wording.STEPS,
        KINDS=wording.KINDS,
        did=wording.did,
        CANCELLED=wording.CANCELLED,
        CLOSED_SHOWN=CLOSED_SHOWN,
        LONGEST_WHY=LONGEST_WHY,
        WORTH_TELLING=WORTH_TELLING,
        form_fields=form_fields,
        alert_said=wording.alert_said,
        errand_said=wording.errand_said,
        DEEDS=wording.DEEDS,
        shown_name=wording.shown_name,
        text_over=text_over,
        version=_version(),
    )
    return environment


def page(name: str, status: int = 200, who: Principal | None = None, **values: Any) -> HTMLResponse:
    """A rendered template with the portal's headers. `who` looks at it; None on a page without a login."""
    may_write = who is not None and who.may("write")
    html = _templates().get_template(name).render(now=datetime.now(UTC), who=who, may_write=may_write, **values)
    return HTMLResponse(html, status, headers=HEADERS)


async def key_of(request: Request, context: Context) -> str | None:
    """The id of the key that opened the request's session; None without a session."""
    return await Sessions(context.database).key_of(request.cookies.get(COOKIE, ""), datetime.now(UTC))


async def _visitor(request: Request, context: ContextDep) -> Principal:
    key_id = await key_of(request, context)
    who = await principal_by_id(key_id, context) if key_id else None
    if who is None or not who.may("read"):
        raise NotLoggedInError
    return who


Visitor = Annotated[Principal, Depends(_visitor)]


async def _brand(brand: str, who: Visitor, context: ContextDep) -> BrandDocument:
    found = await Brands(context.database, who.tenants).find(brand) if who.sees(brand) else None
    if found is None:
        raise not_found("brand")
    return found


Brand = Annotated[BrandDocument, Depends(_brand)]
"""The brand in the path; 404 where the visitor may not see it."""


async def _editor(_brand: Brand, who: Visitor) -> Principal:
    require(who, "write")
    return who


Editor = Annotated[Principal, Depends(_editor)]
"""A visitor who may change this brand; 403 for others."""
EDITORS_ONLY = (Depends(_editor),)
"""The same, for a route that does not need to know who it is."""


async def _administrator(_brand: Brand, who: Visitor) -> Principal:
    require(who, "admin")
    return who


Administrator = Annotated[Principal, Depends(_administrator)]
"""A visitor who may set this brand up; 403 for others."""
Cursor = Annotated[str | None, Query(max_length=2048)]


def named(brand: BrandDocument) -> dict[str, str]:
    return {"id": brand["_id"], "name": brand["settings"]["name"], "timezone": brand["settings"]["timezone"]}


def own_path(path: str) -> str:
    """A path of this portal to redirect to, never another site's."""
    # Browsers read a backslash as a slash, and drop tabs and line breaks first.
    return path if _OWN_PATH.fullmatch(path) else "/"


def same_origin(request: Request) -> None:
    """Refuses forms sent from another site's page. The cookie is also SameSite=Lax.

    Every current browser sends `Origin` or `Referer` with a POST. Other programs do not have somebody else's cookie.
    """
    origin = request.headers.get("origin") or request.headers.get("referer")
    if origin is not None and _netloc(origin) != request.headers.get("host"):
        raise ProblemError(403, "forbidden", "this form was sent from another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ProblemError(403, "forbidden", "this form was sent from another site")


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def sentence(error: ProblemError) -> str:
    """An error as a sentence to show beside a field."""
    return as_sentence(error.errors[0].why if error.errors else error.detail)


def as_sentence(why: str) -> str:
    """Adds a capital, and a full stop where there is none."""
    return f"{why[:1].upper()}{why[1:].rstrip('.')}."
