"""Turns every error into a problem document (RFC 9457)."""

import csv
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from bson.errors import BSONError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidName,
    NetworkTimeout,
    PyMongoError,
    WriteConcernError,
)
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from rapport.contracts.codec import NewerError
from rapport.kit.http.asgi import App, Caught, Scope
from rapport.kit.http.problems import MEDIA_TYPE as MEDIA_TYPE
from rapport.kit.http.problems import FieldProblem as FieldProblem
from rapport.kit.http.problems import Position as Position
from rapport.kit.http.problems import ProblemError as ProblemError
from rapport.kit.http.problems import internal, of_status, request_id
from rapport.kit.log import about
from rapport.kit.work import BusyError
from services.api.http import unknown_fields
from services.api.http.patterns import said

MOST_FIELDS = 50
"""Wrong fields that a document names. A large body may have a hundred thousand."""
LONGEST_NAME = 200
LONGEST_WHY = 500
"""Characters. Names and reasons can repeat what was sent."""

log = logging.getLogger("rapport.api")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    id: str | None = None
    """Finds this request in the log, which says what went wrong."""


def not_found(what: str) -> ProblemError:
    """404, also for what belongs to another brand: the document does not tell whether it exists."""
    return ProblemError(404, "not-found", f"there is no {what} here that this key can see")


def invalid(field: str, why: str) -> ProblemError:
    """422 for one field."""
    return wrong_fields([FieldProblem(field=field, why=why)])


def wrong_fields(found: Sequence[FieldProblem]) -> ProblemError:
    """422 for some fields."""
    return ProblemError(422, "invalid", "; ".join(f"{each.field}: {each.why}" for each in found[:5]), found)


LATER = {"Retry-After": "5"}


def unavailable(detail: str, id: str | None = None) -> ProblemError:
    """503: a server behind this one is unavailable."""
    return ProblemError(503, "unavailable", detail, headers=LATER, id=id)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documents the problems of a route, in addition to 401 and 422."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        for status in (401, 422, *statuses)
    }


_SAID = {404: "there is nothing at this address", 405: "this address does not take this method"}
"""What the framework says in no more words than the title."""
_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem document."""

    def answer(request: Request, error: ProblemError) -> Response:
        """A page for the portal, a document for everything else."""
        wants_page = "text/html" in request.headers.get("accept", "")
        if wants_page and not request.url.path.startswith("/v1/"):
            shown: Response = app.state.problem_page(error)
            return shown
        return error.response()

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return answer(request, error)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        headers = {"Allow": _allowed(app, request.scope)} if error.status_code == 405 else error.headers
        detail = _SAID.get(error.status_code, str(error.detail))
        return answer(request, of_status(error.status_code, detail, headers))

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()[:MOST_FIELDS]
        if [each["loc"] for each in found] == [("body",)] and not _is_json(request):
            return answer(request, invalid("body", "send JSON, with the header Content-Type: application/json"))
        return answer(request, wrong_fields([_field_problem(request, each) for each in found]))

    @app.exception_handler(NewerError)
    async def _newer(request: Request, error: NewerError) -> Response:
        log.warning("a request needs a later version: %.300s", error)
        return answer(request, unavailable("a later version of Rapport stored this; try again in a moment"))

    @app.exception_handler(BusyError)
    async def _busy(request: Request, _error: BusyError) -> Response:
        why = "too much of this brand's work is waiting; try again in a moment"
        return answer(request, ProblemError(429, "busy", why, headers=LATER))

    def caught(scope: Scope, error: Exception) -> App:
        """For errors without a handler."""
        return answer(Request(scope), of(error, scope))

    # Inside of Starlette's own error handling, which closes the connection.
    app.add_middleware(Caught, answer=caught)


def _allowed(app: FastAPI, scope: Scope) -> str:
    """The methods of a path. Each route knows only its own."""
    methods = {
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(each.matches({**scope, "method": method})[0] == Match.FULL for each in app.routes)
    }
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


TRANSIENT = "TransientTransactionError"
"""The driver's label for errors that can be tried again."""
UNKNOWN = "UnknownTransactionCommitResult"
"""Its label for transactions that may have taken place."""
_AWAY = (ConnectionFailure, ExecutionTimeout, TimeoutError)
_UNUSABLE = (
    BSONError, csv.Error, DocumentTooLarge, InvalidName, OverflowError, RecursionError, UnicodeError, ValidationError,
)  # fmt: skip
"""What libraries raise about sent values: a number or document that is too large, a name with NUL in it, half a
character, a time out of range, a broken table."""
_UNUSABLE_CODES = frozenset({52, 10334, 17280, 17419, 17420})
"""The same from MongoDB: a field name with a dollar sign, a document or an index key that is too large."""


def of(error: Exception, scope: Scope) -> ProblemError:
    """The problem for an error without a handler. Its id is in the line of the log that has the reason."""
    number = request_id()
    its = about(request=number)
    # The path would name people, so log the route.
    where = f"{scope['method']} {getattr(scope.get('route'), 'path', 'none')}"
    asked_only = scope["method"] in ("GET", "HEAD")
    if _is_unconfirmed(error) and not asked_only:
        what = f"{type(error).__name__}: {str(error)[:300]}"
        log.warning("%s was not confirmed by MongoDB, request %s (%s)", where, number, what, extra=its)
        return unavailable("the database does not confirm the change right now; it may have taken place", number)
    if _is_unconfirmed(error) or _is_away(error):
        what = f"{type(error).__name__}: {str(error)[:300]}"
        log.warning("%s found MongoDB unavailable, request %s (%s)", where, number, what, extra=its)
        return unavailable("the database is not reachable", number)
    if isinstance(error, DuplicateKeyError):
        log.warning("%s collided with the same change, request %s", where, number, extra=its)
        return ProblemError(409, "conflict", "somebody made the same change at the same time; try again", id=number)
    if isinstance(error, ValidationError) and asked_only:
        # Nothing was sent that could be wrong: what is stored has something that only a later version knows.
        log.warning("%s found what it cannot show, request %s", where, number, exc_info=error, extra=its)
        return unavailable("a later version of Rapport stored this; try again in a moment", number)
    if isinstance(error, _UNUSABLE) or getattr(error, "code", None) in _UNUSABLE_CODES:
        log.warning("%s could not use the request's content, request %s", where, number, exc_info=error, extra=its)
        return ProblemError(422, "unusable", "something in this request cannot be processed", id=number)
    return internal(log, where, error, number)


def _is_away(error: Exception) -> bool:
    return isinstance(error, _AWAY) or (isinstance(error, PyMongoError) and error.has_error_label(TRANSIENT))


def _is_unconfirmed(error: Exception) -> bool:
    """Whether what was written may be there, or not."""
    if isinstance(error, BulkWriteError):
        return bool(error.details["writeConcernErrors"]) and not error.details["writeErrors"]
    # A primary that gives up its place in the middle of a write also says that no majority has it.
    return isinstance(error, (WriteConcernError, NetworkTimeout, ExecutionTimeout)) or (
        isinstance(error, PyMongoError) and error.has_error_label(UNKNOWN)
    )


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json") or request.method not in ("POST", "PUT", "PATCH")


def _field_problem(request: Request, error: Any) -> FieldProblem:
    # The first part says body, query or path, which is not part of the field's name.
    parts = [str(part) for part in error["loc"][1:] if part != "[key]"] or [str(part) for part in error["loc"]]
    field = ".".join(part[:LONGEST_NAME] for part in parts)
    if error["type"] == "extra_forbidden":
        known = unknown_fields.known_at(request, error["loc"])
        return FieldProblem(field=field, why=unknown_fields.why(parts[-1], known))
    return FieldProblem(field=field, why=said(error)[:LONGEST_WHY])
