"""Charges as stored."""

from datetime import UTC, datetime, timedelta
from typing import TypedDict

from rapport.contracts.charges import Charge

KEPT = timedelta(days=400)
"""How long they are kept: bills of a year can be looked up, and compared with those of the year before."""


class ChargeDocument(TypedDict):
    """`charges`: something that a platform charged for."""

    _id: str
    platform: str
    month: str
    """In UTC, such as `2026-11`."""
    what: str
    at: datetime
    brand: str | None
    """None where nobody had connected the account."""
    account: str | None


def month_of(at: datetime) -> str:
    """The month that something counts in. Platforms count in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m")


def charge_document(charge: Charge) -> ChargeDocument:
    """A charge as stored."""
    return {
        "_id": charge.id,
        "platform": charge.platform,
        "month": month_of(charge.at),
        "what": charge.what,
        "at": charge.at,
        "brand": charge.brand,
        "account": charge.account,
    }
