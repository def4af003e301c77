"""`ETag` and `If-Match`: nobody overwrites a change that they have not seen.

A version is a hash of the fields that a request can change. So figures beside them do not change it, and nothing has to
be stored.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from rapport.kit.http.asgi import App, Receive, Scope, Send
from services.api.http.asgi import Answer, answer_of, header, whole_body
from services.api.http.problems import ProblemError

CHANGING = frozenset({"PUT", "PATCH", "DELETE"})


class Resource(NamedTuple):
    """A path with a version: its pattern, and the fields that can be changed there."""

    path: str
    pattern: re.Pattern[str]
    fields: frozenset[str]


class Conditional:
    """Adds the version to what is read, and refuses changes that name another one."""

    def __init__(self, app: App, resources: Sequence[Resource]) -> None:
        self._app = app
        self._resources = resources
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        resource = next((each for each in self._resources if each.pattern.match(scope["path"])), None)
        wanted = header(scope, b"if-match")
        if scope["method"] == "GET" and resource is not None:
            answer = await answer_of(self._app, scope, b"", receive)
            tag = _tag(answer, resource)
            if tag is not None:
                answer.headers.append((b"etag", tag.encode()))
            await answer.send(send)
        elif scope["method"] in CHANGING and wanted is not None:
            await self._change(scope, receive, send, resource, wanted)
        else:
            await self._app(scope, receive, send)

    async def _change(self, scope: Scope, receive: Receive, send: Send, resource: Resource | None, wanted: str) -> None:
        body = await whole_body(receive)
        if body is None:
            return
        # Nobody else in this process changes it between the check and the change.
        lock = self._locks.setdefault(scope["path"], asyncio.Lock())
        async with lock:
            current = await answer_of(self._app, {**scope, "method": "GET", "query_string": b""}, b"", receive)
            if current.status in (401, 403, 404) or (resource is not None and current.status != 200):
                # It could not be read, for example because too much is waiting. That does not mean it has changed.
                answer = current
            elif not _matches(wanted, None if resource is None else _tag(current, resource)):
                why = "it has changed since you read it; read it again" if resource else "this has no version"
                problem = ProblemError(412, "changed", why)
                await problem.response()(scope, receive, send)
                return
            else:
                answer = await answer_of(self._app, scope, body, receive)
        await answer.send(send)


def resources(routes: Iterable[APIRoute]) -> list[Resource]:
    """The paths that can be both read and changed."""
    by_path: dict[str, dict[str, APIRoute]] = {}
    for route in routes:
        for method in route.methods or ():
            by_path.setdefault(route.path, {})[method] = route
    return [
        Resource(path, of["GET"].path_regex, _fields(of.get("PUT") or of["PATCH"]))
        for path, of in by_path.items()
        if "GET" in of and of.keys() & {"PUT", "PATCH"}
    ]


def _fields(route: APIRoute) -> frozenset[str]:
    annotation: Any = None if route.body_field is None else route.body_field.field_info.annotation
    return frozenset() if annotation is None else frozenset(TypeAdapter(annotation).json_schema().get("properties", {}))


def _tag(answer: Answer, resource: Resource) -> str | None:
    if answer.status != 200:
        return None
    document = json.loads(answer.body)
    changeable = {name: value for name, value in document.items() if name in resource.fields}
    content = json.dumps(changeable or document, sort_keys=True)
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:24]}"'


def _matches(wanted: str, tag: str | None) -> bool:
    given = [each.strip() for each in wanted.split(",")]
    return tag is not None and ("*" in given or tag in given)
