"""When tokens are renewed, and when they end. Pure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.api.connecting.documents import AccountTokenDocument, AppDocument
from services.api.connecting.vendors.vendor import Vendor

LEFT = 3
"""A token is renewed when a third of its life is left: there is time for several tries, and for a person."""
USUAL_LIFE = timedelta(hours=1)
"""Of a token of which it is not known when it was obtained: the shortest of any vendor."""
SOONEST = timedelta(minutes=1)
LATEST = timedelta(minutes=30)
"""Between two tries after a failure: the first, and any."""
LAST_TRY = timedelta(minutes=3)
"""Before the end of a token, where an answer may have been lost and a second try could end the consent."""


def token_document(
    account: str,
    brand: str,
    kind: type[Vendor],
    connection: Mapping[str, str],
    expires_at: datetime | None,
    consent_ends_at: datetime | None,
    missing: list[str],
    app: AppDocument | None,
    now: datetime,
) -> AccountTokenDocument:
    """What is known of a new token. `connection` has its secrets open."""
    return {
        "_id": account,
        "brand": brand,
        "platform": kind.platform,
        "vendor": kind.id,
        "token": hash_of(connection.get("token", "")),
        "obtained_at": now,
        "consent_ends_at": consent_ends_at,
        "ends_at": ends_at(
            expires_at, consent_ends_at, renewable=can_renew(kind, "refresh_token" in connection), attention=False
        ),
        "missing": missing,
        "app": app,
        "why": None,
        "attention": False,
        "failures": 0,
        "asked_at": None,
        "next_at": None,
        "number": 0,
    }


def hash_of(token: str) -> str:
    """Names a token without telling it."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest() if token else ""


def can_renew(vendor: type[Vendor], has_refresh_token: bool) -> bool:
    """Whether a token is renewed without a person."""
    return vendor.renewable and (has_refresh_token or not vendor.by_refresh_token)


def ends_at(
    expires_at: datetime | None, consent_ends_at: datetime | None, *, renewable: bool, attention: bool
) -> datetime | None:
    """When an account stops being connected unless somebody connects it again; None if it does not."""
    found = [] if consent_ends_at is None else [consent_ends_at]
    if expires_at is not None and (attention or not renewable):
        found.append(expires_at)
    return min(found, default=None)


def due_at(expires_at: datetime, obtained_at: datetime | None) -> datetime:
    """When a token is to be renewed."""
    life = expires_at - obtained_at if obtained_at is not None and obtained_at < expires_at else USUAL_LIFE
    return expires_at - life / LEFT


def next_try(now: datetime, failures: int, expires_at: datetime, *, unsure: bool) -> datetime:
    """When it is tried again after so many failures in a row.

    `unsure`: the vendor may have taken the refresh token for good, and ends the consent if it sees it again. So the
    token that is still valid is used for as long as possible.
    """
    waited = now + min(LATEST, SOONEST * 2 ** min(failures - 1, 10))
    last = expires_at - LAST_TRY
    return last if unsure and waited < last else waited


def is_time(next_at: datetime, expires_at: datetime, now: datetime) -> bool:
    """Whether the time for another try has come. One later than `next_try` gives was written by a wrong clock."""
    return next_at <= now or next_at > max(expires_at, now + LATEST)
