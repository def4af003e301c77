"""What every page of the portal has: its template, its headers, who looks at it, and of which brand it is."""

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from rapport.domain import figures
from rapport.domain.platforms import platform_name
from services.api.auth import Principal, principal_by_id
from services.api.context import Context, ContextDep
from services.api.portal import wording
from services.api.portal.form_fields import form_fields
from services.api.problems import ProblemError, not_found
from services.api.repositories.brands import Brands
from services.api.repositories.sessions import Sessions
from services.api.schemas.views import LONGEST_WHY

STATIC = Path(__file__).parent / "static"
CLOSED_SHOWN = 4
COOKIE = "rapport_session"

SECTIONS = (
    ("", "Today"),
    ("exchanges", "Exchanges"),
    ("followers", "Followers"),
    ("movers", "Movers"),
    ("calendar", "Calendar"),
    ("mix", "Mix"),
    ("consistency", "Consistency"),
    ("new", "New"),
    ("campaigns", "Campaigns"),
    ("communities", "Communities"),
)
"""What a brand has pages about: the path below the brand's, and what it is called."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`, with which a browser hides the origin of our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


_OWN_PATH = re.compile(r"/(?!/)[^\\\x00-\x20\x7f]*")


class NotLoggedInError(Exception):
    """The page takes a session."""


@cache
def _version() -> str:
    """Changes with any static file, so that browsers may keep them for long."""
    files = sorted(path for path in STATIC.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("services.api.portal"),
        autoescape=True,
        finalize=wording.shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=wording.moment,
        clock=wording.clock,
        platform=platform_name,
        until=wording.until,
        ago=wording.ago,
        percent=figures.percent,
        whole_percent=figures.whole_percent,
        counted=figures.counted,
        noun=figures.noun,
        span=wording.span,
        initials=wording.initials,
        weblink=wording.link,
        path=lambda text: quote(text, safe=""),
        iso=lambda at: at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
    environment.globals.update(
        SECTIONS=SECTIONS,
        STATES=wording.STATES,
        STAGES=wording.STAGES,
        STEPS=wording.STEPS,
        KINDS=wording.KINDS,
        CANCELLED=wording.CANCELLED,
        CLOSED_SHOWN=CLOSED_SHOWN,
        LONGEST_WHY=LONGEST_WHY,
        form_fields=form_fields,
        alert_said=wording.alert_said,
        shown_name=wording.shown_name,
        version=_version(),
    )
    return environment


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A rendered template with the portal's headers."""
    html = _templates().get_template(name).render(now=datetime.now(UTC), **values)
    return HTMLResponse(html, status, headers=HEADERS)


async def key_of(request: Request, context: Context) -> str | None:
    """The id of the key that a request's session was opened with; None where there is no session."""
    return await Sessions(context.database).key_of(request.cookies.get(COOKIE, ""), datetime.now(UTC))


async def _visitor(request: Request, context: ContextDep) -> Principal:
    key_id = await key_of(request, context)
    who = await principal_by_id(key_id, context) if key_id else None
    if who is None or not who.may("read"):
        raise NotLoggedInError
    return who


Visitor = Annotated[Principal, Depends(_visitor)]


async def _brand(brand: str, who: Visitor, context: ContextDep) -> dict[str, Any]:
    found = await Brands(context.database, who.tenants).find(brand) if who.sees(brand) else None
    if found is None:
        raise not_found("brand")
    return found


Brand = Annotated[dict[str, Any], Depends(_brand)]
Cursor = Annotated[str | None, Query(max_length=2048)]


def named(brand: dict[str, Any]) -> dict[str, str]:
    return {"id": brand["_id"], "name": brand["settings"]["name"], "timezone": brand["settings"]["timezone"]}


def own_path(path: str) -> str:
    """A path of this portal to go on to; never another site's."""
    # Browsers read a backslash as a slash, and leave out tabs and line breaks before they look at the slashes.
    return path if _OWN_PATH.fullmatch(path) else "/"


def same_origin(request: Request) -> None:
    """Refuses forms that another site's page sends. Beside it, the cookie is SameSite=Lax.

    Every browser of today says `Origin` with a POST, or at least where it comes from; other programs have no cookie
    of somebody else's.
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
    """What is wrong, as a sentence beside a field."""
    return as_sentence(error.errors[0].why if error.errors else error.detail)


def as_sentence(why: str) -> str:
    """With a capital and a full stop."""
    return f"{why[:1].upper()}{why[1:]}."
