"""Errors as RFC 9457 problem details, whatever raised them."""

import csv
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from bson.errors import BSONError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pymongo.errors import (
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidName,
    PyMongoError,
    WTimeoutError,
)
from starlette.exceptions import HTTPException
from starlette.responses import Response

from rapport.contracts.codec import NewerError
from rapport.kit.asgi import App, Caught, Scope
from rapport.kit.work import BusyError
from services.api import unknown_fields
from services.api.patterns import said

MOST_FIELDS = 50
"""Wrong fields that an answer names; nobody reads more, and a large body may have a hundred thousand."""
LONGEST_NAME = 200
LONGEST_WHY = 500
"""Both may hold what was sent."""

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger("rapport.api")


class Position(BaseModel):
    """A place in a text: characters from `offset`, counted from 0; line and column are counted from 1."""

    offset: int
    length: int
    line: int
    column: int


class FieldProblem(BaseModel):
    """One field that is wrong; of a text in it `position`, of JSON in it the JSON pointer within the body."""

    field: str
    why: str
    position: Position | None = None
    pointer: str | None = None


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    id: str | None = None
    """Of this request in the log, where the reason is there."""


class ProblemError(Exception):
    """A request that cannot be served: status, a slug for the kind of problem, a detail for this one."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.id = id

    def response(self) -> Response:
        """The problem document."""
        document: dict[str, Any] = {
            "type": f"urn:rapport:problem:{self.slug}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [error.model_dump(exclude_none=True) for error in self.errors]
        if self.id:
            document["id"] = self.id
        return Response(json.dumps(document), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def not_found(what: str) -> ProblemError:
    """404, also for what another brand owns: whether it exists is not told."""
    return ProblemError(404, "not-found", f"there is no {what} here that this key may see")


def invalid(field: str, why: str) -> ProblemError:
    """422 for one field."""
    return wrong_fields([FieldProblem(field=field, why=why)])


def wrong_fields(found: Sequence[FieldProblem]) -> ProblemError:
    """422 for some fields."""
    return ProblemError(422, "invalid", "; ".join(f"{each.field}: {each.why}" for each in found[:5]), found)


LATER = {"Retry-After": "5"}


def unavailable(detail: str, id: str | None = None) -> ProblemError:
    """503: a server behind this one is away."""
    return ProblemError(503, "unavailable", detail, headers=LATER, id=id)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route documents beside 401 and 422."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        for status in (401, 422, *statuses)
    }


_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem document."""

    def answer(request: Request, error: ProblemError) -> Response:
        """A page for who looks at the portal, a document for everybody else."""
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
        slug = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return answer(request, ProblemError(error.status_code, slug, str(error.detail), headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        found = error.errors()[:MOST_FIELDS]
        return answer(request, wrong_fields([_field_problem(request, each) for each in found]))

    @app.exception_handler(NewerError)
    async def _newer(request: Request, error: NewerError) -> Response:
        log.warning("a request needs a later version: %.300s", error)
        return answer(request, unavailable("a later version stored what this asks for; ask again in a moment"))

    @app.exception_handler(BusyError)
    async def _busy(request: Request, _error: BusyError) -> Response:
        why = "this brand has more work waiting than is taken on at once; try again in a moment"
        return answer(request, ProblemError(429, "busy", why, headers=LATER))

    def caught(scope: Scope, error: Exception) -> App:
        """For what no handler has foreseen."""
        return answer(Request(scope), of(error, scope))

    # Inside of what Starlette does with errors, which ends the connection.
    app.add_middleware(Caught, answer=caught)


TRANSIENT = "TransientTransactionError"
"""What the driver calls an error that would not come again."""
_AWAY = (ConnectionFailure, ExecutionTimeout, WTimeoutError, TimeoutError)
_UNUSABLE = (
    BSONError, csv.Error, DocumentTooLarge, InvalidName, OverflowError, RecursionError, UnicodeError, ValidationError,
)  # fmt: skip
"""What the libraries raise about a value that was sent: too large a number or document, a name with NUL in it, half of
a character, a time that no calendar has, a table that is none."""
_UNUSABLE_CODES = frozenset({52, 10334, 17280, 17419, 17420})
"""The same, said by the server: a field's name with a dollar sign, a document or an index key that is too large."""


def of(error: Exception, scope: Scope) -> ProblemError:
    """The problem of an error that no handler has foreseen. Its id leads to the line of the log that has the reason."""
    number = secrets.token_hex(6)
    # The path would name people.
    where = f"{scope['method']} {getattr(scope.get('route'), 'path', 'none')}"
    if isinstance(error, _AWAY) or (isinstance(error, PyMongoError) and error.has_error_label(TRANSIENT)):
        log.warning("%s met no MongoDB, request %s (%s: %.300s)", where, number, type(error).__name__, error)
        return unavailable("the database is not reachable", number)
    if isinstance(error, DuplicateKeyError):
        log.warning("%s was done twice at once, request %s", where, number)
        return ProblemError(409, "conflict", "somebody did the same at this moment", id=number)
    if isinstance(error, _UNUSABLE) or getattr(error, "code", None) in _UNUSABLE_CODES:
        log.warning("%s could not use what was sent, request %s", where, number, exc_info=error)
        return ProblemError(422, "unusable", "something in this request cannot be used", id=number)
    log.error("%s failed, request %s", where, number, exc_info=error)
    return ProblemError(500, "internal", "something went wrong on our side", id=number)


def _field_problem(request: Request, error: Any) -> FieldProblem:
    # The first part says body, query or path, which the reader of a request knows.
    parts = [str(part) for part in error["loc"][1:] if part != "[key]"] or [str(part) for part in error["loc"]]
    field = ".".join(part[:LONGEST_NAME] for part in parts)
    if error["type"] == "extra_forbidden":
        known = unknown_fields.known_at(request, error["loc"])
        return FieldProblem(field=field, why=unknown_fields.why(parts[-1], known))
    return FieldProblem(field=field, why=said(error)[:LONGEST_WHY])
