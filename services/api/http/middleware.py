"""Middleware around every request: limits its body and measures its time."""

import time

from prometheus_client import Counter, Histogram

from rapport.kit.http.asgi import App, Bodies, FullError, GoneError, Message, Receive, Scope, Send, TooLargeError
from services.api.http.asgi import replayed
from services.api.http.files.sizes import largest_body
from services.api.http.problems import LATER, ProblemError

REQUESTS = Counter("rapport_api_requests_total", "Requests served.", ["method", "route", "status"])
SECONDS = Histogram(
    "rapport_api_request_seconds",
    "How long a request took.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


MOST_FIELDS = 1_000
"""Of a urlencoded form. Starlette limits multipart forms itself."""
MOST_CODES = 150_000
"""Encoded characters of a form, such as `%0A`. They are decoded one by one, which is slow; files come as multipart."""


class BodyLimit:
    """Answers 413 if a body is larger than its path allows, and never holds more than that; 415 if it is compressed."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if dict(scope["headers"]).get(b"content-encoding", b"identity").lower() != b"identity":
            # The body is unread.
            headers = {"Connection": "close"}
            problem = ProblemError(415, "encoded", "send the body as it is, not compressed", headers=headers)
            await problem.response()(scope, receive, send)
            return
        most = largest_body(scope["path"])
        try:
            async with self._bodies.whole(scope, receive, most) as body:
                if _is_form(scope) and (body.count(b"&") > MOST_FIELDS or body.count(b"%") > MOST_CODES):
                    problem = ProblemError(413, "too-large", "this form is too large; send it in parts")
                    await problem.response()(scope, receive, send)
                    return
                await self._app(scope, replayed(body, receive), send)
        except TooLargeError as error:
            headers = {"Connection": "close"} if error.hang_up else {}
            problem = ProblemError(413, "too-large", f"the body can have at most {most:,} bytes here", headers=headers)
            await problem.response()(scope, receive, send)
        except FullError:
            # The rest of the body is unread.
            problem = ProblemError(
                503,
                "busy",
                "too much is being sent at once; try again",
                headers={"Connection": "close", **LATER},
            )
            await problem.response()(scope, receive, send)
        except GoneError:
            return


def _is_form(scope: Scope) -> bool:
    kind: bytes = dict(scope["headers"]).get(b"content-type", b"")
    return kind.lower().startswith(b"application/x-www-form-urlencoded")


class Head:
    """Answers HEAD as GET, which the server then sends without its body: load balancers and link previews ask so."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server looks at its own scope for the method, so that one stays.
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        await self._app({**scope, "method": "GET"} if is_head else scope, receive, send)


class Observed:
    """Counts and times requests by route. Paths would put ids into the metrics."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            REQUESTS.labels(scope["method"], route, status).inc()
            SECONDS.labels(scope["method"], route).observe(time.perf_counter() - started)
