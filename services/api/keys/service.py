"""Keys, whom they stand for, and what they allow.

A key is `rp_<env>_<id>_<secret>`. It is looked up by id. Only its SHA-256 is stored: the secret has 256 random bits, so
it cannot be guessed and needs no slow hash.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.api.brands.repository import Brands
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError, not_found
from services.api.keys.documents import KeyDocument
from services.api.keys.repository import Keys
from services.api.storage.tenants import Tenants

KEY_SHAPE = re.compile(r"rp_[a-z0-9]{1,16}_([a-z0-9]{4,32})_([A-Za-z0-9]{32,128})")
_ORDER = ("read", "write", "admin")

_bearer = HTTPBearer(auto_error=False, description="A key: `rp_<env>_<id>_<secret>`.")


@dataclass(frozen=True)
class Principal:
    """Who a key stands for. `brands` is None for all. Of read, write and admin, each scope includes those before it."""

    key: str
    name: str
    brands: tuple[str, ...] | None
    scopes: frozenset[str]

    @property
    def tenants(self) -> Tenants:
        """The brands that this key reaches."""
        return Tenants(self.brands)

    def sees(self, brand: str) -> bool:
        """Whether the key is for this brand."""
        return self.brands is None or brand in self.brands

    def may(self, scope: str) -> bool:
        """Whether the key has this scope, or one that includes it."""
        return any(owned in self.scopes for owned in _ORDER[_ORDER.index(scope) :])


def new_key(environment: str) -> tuple[str, str]:
    """A fresh key's id, and the key."""
    key_id = secrets.token_hex(6)
    return key_id, f"rp_{environment}_{key_id}_{secrets.token_hex(32)}"


def hash_of(key: str) -> str:
    """The hash of a key that is stored."""
    return hashlib.sha256(key.encode()).hexdigest()


def id_of(key: str) -> str | None:
    """The id in a key; None if it does not look like a key."""
    shape = KEY_SHAPE.fullmatch(key)
    return shape[1] if shape else None


async def principal_of(key: str, context: Context) -> Principal | None:
    """Who a key stands for; None if it is unknown, wrong, expired or revoked."""
    key_id = id_of(key)
    if key_id is None:
        return None
    admin = context.admin_key
    if admin is not None and hmac.compare_digest(hash_of(admin), hash_of(key)):
        return _admin(admin)
    found = await Keys(context.database).find(key_id)
    if found is None or not hmac.compare_digest(found["hash"], hash_of(key)):
        return None
    return _of_stored(found)


async def principal_by_id(id: str, context: Context) -> Principal | None:
    """Who the key with this id stands for now. For sessions that the key has opened."""
    admin = context.admin_key
    if admin is not None and id_of(admin) == id:
        return _admin(admin)
    found = await Keys(context.database).find(id)
    return _of_stored(found) if found else None


def _admin(key: str) -> Principal:
    return Principal(key=id_of(key) or "admin", name="administrator", brands=None, scopes=frozenset(_ORDER))


def _of_stored(found: KeyDocument) -> Principal | None:
    if found["expires_at"] is not None and found["expires_at"] <= datetime.now(UTC):
        return None
    return Principal(
        key=found["_id"],
        name=found["name"],
        brands=None if found["brands"] is None else tuple(found["brands"]),
        scopes=frozenset(found["scopes"]),
    )


async def _principal(
    request: Request,
    context: ContextDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    found = await principal_of(credentials.credentials, context) if credentials else None
    if found is None:
        if credentials:
            context.rates.failed(request)
        why = "the key is unknown, expired or revoked" if credentials else "a key is needed: Authorization: Bearer rp_…"
        raise ProblemError(401, "unauthorized", why, headers={"WWW-Authenticate": "Bearer"})
    return found


PrincipalDep = Annotated[Principal, Depends(_principal)]


def require(who: Principal, scope: str) -> None:
    """Raises ProblemError (403) if the key lacks the scope."""
    if not who.may(scope):
        raise ProblemError(403, "forbidden", f"this needs a key with the scope {scope!r}")


@dataclass(frozen=True)
class _OfBrand:
    """Checks that the key has the scope for the brand in the path."""

    scope: str

    async def __call__(self, brand: str, who: PrincipalDep, context: ContextDep, request: Request) -> Tenants:
        # A foreign brand looks like one that does not exist, whatever the key may do elsewhere.
        found = await Brands(context.database, who.tenants).find(brand) if who.sees(brand) else None
        if found is None:
            raise not_found("brand")
        require(who, self.scope)
        request.state.brand = found
        return Tenants.one(brand)


ReadBrand = Annotated[Tenants, Depends(_OfBrand("read"))]
WriteBrand = Annotated[Tenants, Depends(_OfBrand("write"))]
AdminBrand = Annotated[Tenants, Depends(_OfBrand("admin"))]


@dataclass(frozen=True)
class _WithScope:
    scope: str

    async def __call__(self, who: PrincipalDep) -> Principal:
        require(who, self.scope)
        return who


Reader = Annotated[Principal, Depends(_WithScope("read"))]
Admin = Annotated[Principal, Depends(_WithScope("admin"))]


def reaches(who: Principal, brands: Iterable[str] | None) -> bool:
    """Whether this key covers all of `brands` (None for all)."""
    if who.brands is None:
        return True
    return brands is not None and set(brands) <= set(who.brands)
