"""Errors over HTTP as RFC 9457 problem details."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """What is wrong with a request: an HTTP status, a title for the kind of problem, a detail for this one."""

    def __init__(
        self, status: int, slug: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.headers = headers
        self.document = {
            "type": f"urn:rapport:problem:{slug}",
            "title": title,
            "status": status,
            "detail": detail,
            **more,
        }

    def response(self) -> Response:
        """The problem document."""
        return Response(
            msgspec.json.encode(self.document), self.status, media_type=MEDIA_TYPE, headers=dict(self.headers or {})
        )
