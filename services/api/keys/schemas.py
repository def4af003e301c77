"""Keys."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, Field

from services.api.http.schemas import Id, Input, Name, Utc
from services.api.keys.documents import Scope


class KeyInput(Input):
    """A new key for some brands or, if `brands` is null, for all, including future ones."""

    name: Name
    brands: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    scopes: Annotated[list[Scope], Field(default_factory=lambda: ["read"], min_length=1)]
    expires_at: Utc | None = None


class Key(BaseModel):
    """A key without its secret. `write` includes `read`, `admin` includes both."""

    id: str
    name: str
    brands: list[str] | None
    scopes: list[Scope]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None


class NewKey(Key):
    """A new key. `key` is the whole key, shown only once."""

    key: str
