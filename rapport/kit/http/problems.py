"""Errors over HTTP as RFC 9457 problem details."""

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Position:
    """A place in a text: characters from `offset`, counted from 0; line and column are counted from 1."""

    offset: int
    length: int
    line: int
    column: int


@dataclass(frozen=True)
class FieldProblem:
    """One wrong field: its `position` where it is a text, the JSON pointer within the body where it is JSON."""

    field: str
    why: str
    position: Position | None = None
    pointer: str | None = None


class ProblemError(Exception):
    """A request that cannot be served: an HTTP status, a slug for the kind of problem, a detail for this one.

    The title names the kind of problem; the status's own words where it is not given. `id` finds this request in the
    log. `more` are further members of the document.
    """

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        id: str | None = None,
        *,
        title: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.id = id
        self._more = more

    def document(self) -> bytes:
        """The problem document, in JSON."""
        document: dict[str, Any] = {
            "type": f"urn:rapport:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [_present(error) for error in self.errors]
        if self.id:
            document["id"] = self.id
        # Half of a surrogate pair, which a JSON body may hold and an error repeat, has to be escaped.
        return json.dumps(document | self._more, default=msgspec.to_builtins).encode()

    def response(self) -> Response:
        """The answer with the document."""
        return Response(self.document(), self.status, headers=self.headers, media_type=MEDIA_TYPE)


def _present(error: FieldProblem) -> dict[str, Any]:
    return {name: value for name, value in asdict(error).items() if value is not None}


def of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> ProblemError:
    """The problem that an HTTP status alone stands for: 405 is `method-not-allowed`."""
    return ProblemError(status, HTTPStatus(status).phrase.lower().replace(" ", "-"), detail, headers=headers)


def request_id() -> str:
    """An id that a problem document and a line of the log share."""
    return secrets.token_hex(6)


def internal(log: logging.Logger, what: str, error: Exception, id: str) -> ProblemError:
    """500 for what nobody has foreseen. Logs the error."""
    log.error("%s failed, request %s", what, id, exc_info=error)
    return ProblemError(500, "internal", "something went wrong on our side", id=id)
