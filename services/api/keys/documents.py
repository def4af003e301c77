"""Keys as stored."""

from datetime import datetime
from typing import Literal, TypedDict

Scope = Literal["read", "write", "admin"]


class KeyDocument(TypedDict):
    """`keys`. The key itself is stored nowhere."""

    _id: str
    """The id within the key."""
    hash: str
    """SHA-256 of the whole key, in hex."""
    name: str
    brands: list[str] | None
    """Null for all brands."""
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
