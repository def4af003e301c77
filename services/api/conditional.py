"""`ETag` and `If-Match`: nobody overwrites what somebody else has changed since they read it.

The version of a thing is that of the fields which a request can change. So it stays the same while figures beside them
change, and it needs no number in what is stored.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from rapport.kit.asgi import App, Receive, Scope, Send
from services.api.asgi import Answer, answer_of, header, whole_body
from services.api.problems import ProblemError

CHANGING = frozenset({"PUT", "PATCH", "DELETE"})


class _Thing(NamedTuple):
    """A path with a version: what matches it, and the fields that can be changed there."""

    path: str
    pattern: re.Pattern[str]
    fields: frozenset[str]


class Conditional:
    """Adds the version to what is read, and refuses changes that are sent with another one."""

    def __init__(self, app: App, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._things = things(routes)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        thing = next((each for each in self._things if each.pattern.match(scope["path"])), None)
        wanted = header(scope, b"if-match")
        if scope["method"] == "GET" and thing is not None:
            answer = await answer_of(self._app, scope, b"", receive)
            tag = _tag(answer, thing)
            if tag is not None:
                answer.headers.append((b"etag", tag.encode()))
            await answer.send(send)
        elif scope["method"] in CHANGING and wanted is not None:
            await self._change(scope, receive, send, thing, wanted)
        else:
            await self._app(scope, receive, send)

    async def _change(self, scope: Scope, receive: Receive, send: Send, thing: _Thing | None, wanted: str) -> None:
        body = await whole_body(receive)
        if body is None:
            return
        # Between the look and the change nobody else of this process changes it.
        lock = self._locks.setdefault(scope["path"], asyncio.Lock())
        async with lock:
            current = await answer_of(self._app, {**scope, "method": "GET", "query_string": b""}, b"", receive)
            if current.status in (401, 403, 404) or (thing is not None and current.status != 200):
                # What could not be read, because too much waits for one, has not changed for that.
                answer = current
            elif not _matches(wanted, None if thing is None else _tag(current, thing)):
                why = "it has changed since you read it; read it again" if thing else "this has no version"
                problem = ProblemError(412, "changed", why)
                await problem.response()(scope, receive, send)
                return
            else:
                answer = await answer_of(self._app, scope, body, receive)
        await answer.send(send)


def things(routes: Iterable[APIRoute]) -> list[_Thing]:
    """The paths that can be both read and changed."""
    by_path: dict[str, dict[str, APIRoute]] = {}
    for route in routes:
        for method in route.methods or ():
            by_path.setdefault(route.path, {})[method] = route
    return [
        _Thing(path, of["GET"].path_regex, _fields(of.get("PUT") or of["PATCH"]))
        for path, of in by_path.items()
        if "GET" in of and of.keys() & {"PUT", "PATCH"}
    ]


def _fields(route: APIRoute) -> frozenset[str]:
    annotation: Any = None if route.body_field is None else route.body_field.field_info.annotation
    return frozenset() if annotation is None else frozenset(TypeAdapter(annotation).json_schema().get("properties", {}))


def _tag(answer: Answer, thing: _Thing) -> str | None:
    if answer.status != 200:
        return None
    found = json.loads(answer.body)
    changeable = {name: value for name, value in found.items() if name in thing.fields}
    said = json.dumps(changeable or found, sort_keys=True)
    return f'"{hashlib.sha256(said.encode()).hexdigest()[:24]}"'


def _matches(wanted: str, tag: str | None) -> bool:
    given = [each.strip() for each in wanted.split(",")]
    return tag is not None and ("*" in given or tag in given)
