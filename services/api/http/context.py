"""What requests share within a process."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from pymongo.asynchronous.database import AsyncDatabase

from rapport.kit.health import Health
from rapport.kit.http.outgoing import Guard
from rapport.kit.mongo import Document
from rapport.kit.sealing import Sealer
from services.api.charges.service import Pricing
from services.api.http.rates import Rates
from services.api.publishing.service import Publisher


@dataclass(frozen=True)
class Context:
    """Made once per process, by `app.create_app`."""

    database: AsyncDatabase[Document]
    publisher: Publisher
    health: Health
    admin_key: str | None
    environment: str
    signing_secret: bytes
    """Signs what surveys' forms carry."""
    guard: Guard
    """Says which addresses of others can be called."""
    sealer: Sealer = field(default_factory=Sealer)
    """Seals what is stored of others' secrets."""
    pricing: Pricing = field(default_factory=Pricing)
    rates: Rates = field(default_factory=Rates)


def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


ContextDep = Annotated[Context, Depends(_context)]
