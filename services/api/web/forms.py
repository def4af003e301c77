"""What all forms of the portal have in common.

A form is sent with the page that showed it (`_page`), a name for this rendering (`_once`) and, if it changes something,
the version that it showed (`_version`). So a form that is sent twice counts once, nobody overwrites a change that they
have not seen, and what was typed outlives the session.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import Request, UploadFile
from fastapi.routing import APIRoute
from markupsafe import Markup
from pydantic import BaseModel
from starlette.datastructures import UploadFile as StarletteFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.kit.text import is_blank, written
from services.api.http.context import Context
from services.api.http.files.sizes import LARGEST_FILE
from services.api.http.problems import ProblemError
from services.api.web import filling
from services.api.web.form_fields import BASE, ONCE, OWN, PAGE, SHOWN_AT, VERSION
from services.api.web.frame import HEADERS, NotLoggedInError, key_of, own_path, page, same_origin
from services.api.web.receipts import Drafts, Receipts

MOST_FIELDS = 1_000
LARGEST_DRAFT = 64 * 1024
"""Bytes of what was typed before a session ended. They travel through the login form."""
WAITED_SECONDS = 10.0
LOOK_EVERY_SECONDS = 0.1
DRAFT = "draft"
KEPT_FILE = "kept_file"

Pairs = Sequence[tuple[str, str]]

_sent: ContextVar[Pairs] = ContextVar("sent", default=())
_draft: ContextVar[Pairs | None] = ContextVar("draft", default=None)


def version_of(*shown: Any) -> str:
    """Names the state of what a form changes. Another state has another name."""
    plain = [each.model_dump(mode="json") if isinstance(each, BaseModel) else each for each in shown]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]


def stale(current: str) -> bool:
    """Whether somebody has changed it since the form was shown."""
    version = dict(_sent.get()).get(VERSION, "")
    return version not in ("", current)


STALE = (
    "Somebody else changed this while you had it open. What you typed is still here and is not saved yet. "
    "Save again to replace their change, or open the page again to see it."
)


def as_stored(text: str) -> str:
    """Text with line breaks as they are stored. Browsers send each as two characters."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def reason(typed: str) -> str:
    """What somebody typed as a reason, as it is stored; empty where nobody would see anything of it."""
    said = as_stored(typed).strip()
    return "" if is_blank(said) else said


def kept(typed: str, stored: str | None, *, one_line: bool = False) -> str:
    """The value of a field, which stays as stored if nobody changed it.

    A page shows it `written`. A browser does not keep line breaks and spaces at the ends, and in a field of one line no
    line breaks at all.
    """
    said = _shown(typed, one_line)
    return stored if stored is not None and said == _shown(stored, one_line) else said


def _shown(text: str, one_line: bool) -> str:
    shown = written(text)
    return (shown.replace("\n", "") if one_line else shown).strip()


def sent() -> Pairs:
    """The fields of the form that was sent, without its files."""
    return _sent.get()


async def sent_file(file: UploadFile | None) -> bytes:
    """The file of a form, or the one from the preview before it."""
    if file is not None and file.filename:
        return await file.read()
    try:
        return base64.b64decode(dict(_sent.get()).get(KEPT_FILE, ""))
    except ValueError:
        return b""


def kept_file(raw: bytes) -> Markup:
    """A hidden field with a file, for the form that confirms its preview."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(KEPT_FILE, base64.b64encode(raw).decode())


def draft() -> Pairs | None:
    """What was typed into this page's form before the session ended, if anything."""
    return _draft.get()


class FormRoute(APIRoute):
    """A page of the portal, or the target of one of its forms."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with what all forms have in common around it."""
        handle = super().get_route_handler()

        async def around(request: Request) -> Response:
            # Later requests do not see it: each request is a task of its own.
            BASE.set(str(request.base_url).rstrip("/"))
            if request.method == "POST":
                return await _sent_to(request, handle)
            query = f"?{request.url.query}" if request.url.query else ""
            token = SHOWN_AT.set(_without_draft(request.url.path + query))
            try:
                return await _with_draft(request, handle)
            finally:
                SHOWN_AT.reset(token)

        return around


async def _sent_to(request: Request, handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    same_origin(request)
    form = await request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=4 * LARGEST_FILE)
    pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    shown_at = own_path(dict(pairs).get(PAGE, "/"))
    tokens = SHOWN_AT.set(shown_at), _sent.set(pairs)
    try:
        return await _once(request, pairs, handle)
    except NotLoggedInError:
        return _login_first(request.url.path, shown_at, pairs)
    finally:
        SHOWN_AT.reset(tokens[0])
        _sent.reset(tokens[1])


async def _once(request: Request, pairs: Pairs, handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    """Handles a form. If it was sent before, redirects to where that led."""
    context: Context = request.app.state.context
    once = dict(pairs).get(ONCE)
    key = await key_of(request, context)
    if once is None or key is None:
        return await handle(request)
    # With other content it is another form: somebody went back and changed what they typed.
    content = [pair for pair in pairs if pair[0] not in (PAGE, VERSION)]
    files = [await _digest(value) for value in (await request.form()).values() if isinstance(value, StarletteFile)]
    name = hashlib.sha256(json.dumps([key, request.url.path, content, files]).encode()).hexdigest()
    receipts = Receipts(context.database)
    until = time.monotonic() + WAITED_SECONDS
    while not await receipts.take(name):
        led_to = await receipts.led_to(name)
        if led_to is not None:
            return RedirectResponse(led_to, 303, headers=HEADERS)
        if time.monotonic() > until:
            raise ProblemError(409, "conflict", "this form was sent twice and is still being saved; reload the page")
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    done = False
    try:
        response = await handle(request)
        if response.status_code == 303:
            await receipts.done(name, response.headers["location"])
            done = True
        return response
    finally:
        if not done:
            await receipts.drop(name)


async def _digest(file: StarletteFile) -> str:
    """A hash of a file's content. A corrected file often has the same length."""
    raw = await file.read()
    await file.seek(0)
    return hashlib.sha256(raw).hexdigest()


def _login_first(path: str, shown_at: str, pairs: Pairs) -> Response:
    """The login page, which carries along what was typed."""
    if all(name in OWN for name, _ in pairs):
        # Just a button: nothing was typed.
        where = "/login" if shown_at == "/" else f"/login?next={quote(shown_at)}"
        return RedirectResponse(where, 303, headers=HEADERS)
    typed = json.dumps({"path": path, "fields": [pair for pair in pairs if pair[0] not in (ONCE, PAGE)]})
    carried = typed if len(typed) <= LARGEST_DRAFT else ""
    return page("web/login.html", 401, next=shown_at, wrong=False, typed=carried, ended=True)


async def keep_draft(context: Context, key: str, shown_at: str, typed: str) -> str:
    """Keeps what was typed before a login, and gives the address of the page with its form and the draft's name."""
    try:
        found = json.loads(typed)
        path, pairs = str(found["path"]), [(str(name), str(value)) for name, value in found["fields"]]
        # JSON can contain half a character, which cannot be stored.
        json.dumps([path, pairs], ensure_ascii=False).encode()
    except (ValueError, TypeError, KeyError):
        return shown_at
    if len(typed) > LARGEST_DRAFT:
        return shown_at
    name = await Drafts(context.database).add(key, path, pairs)
    parts = urlsplit(shown_at)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), (DRAFT, name)])
    return parts._replace(query=query).geturl()


async def _with_draft(request: Request, handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    name = request.query_params.get(DRAFT)
    context: Context = request.app.state.context
    key = await key_of(request, context)
    found = await Drafts(context.database).find(name, key) if name and key else None
    if found is None:
        return await handle(request)
    pairs: Pairs = [(each[0], each[1]) for each in found["fields"]]
    token = _draft.set(pairs)
    try:
        response = await handle(request)
    finally:
        _draft.reset(token)
    if isinstance(response, HTMLResponse) and response.status_code == 200:
        html = filling.fill(bytes(response.body).decode(), found["path"], pairs)
        return HTMLResponse(html, 200, headers=HEADERS)
    return response


def _without_draft(address: str) -> str:
    parts = urlsplit(address)
    pairs = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != DRAFT]
    return parts._replace(query=urlencode(pairs)).geturl() if f"{DRAFT}=" in parts.query else address
