"""What a request needs of its process."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.health import Health
from rapport.kit.mongo import Document
from services.api.publisher import Publisher
from services.api.rates import Rates


@dataclass(frozen=True)
class Context:
    """Made once per process; see `app.create_app`."""

    database: AsyncDatabase[Document]
    publisher: Publisher
    health: Health
    admin_key: str | None
    environment: str
    session_secret: bytes
    """Signs the tickets of surveys' forms."""
    rates: Rates = field(default_factory=Rates)


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


ContextDep = Annotated[Context, Depends(_context)]
