"""What platforms charge: this month, and for an account that is not connected yet."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from rapport.domain import charges as domain
from rapport.domain.charges import CHARGING, MOST_FOLLOWERS, Expected, Known, Line, Prices
from services.api.charges.documents import month_of
from services.api.charges.repository import Charges, Counted
from services.api.storage.tenants import Database, Tenants

NOT_COUNTED = (
    "events that X sent while nothing of Rapport could be reached, as far as X charges for them",
    "answers, likes and anything else that other programs do with the same application at X",
    "X's taxes, discounts and minimum purchases",
)


@dataclass(frozen=True)
class Pricing:
    """What the agency pays, and how much it wants to pay in a month at most; None where it has not said."""

    prices: Prices = field(default_factory=Prices.x)
    budget: Decimal | None = None


@dataclass(frozen=True)
class AccountBill:
    """What one account cost in a month. `account` is None for those that nobody has connected here."""

    account: str | None
    lines: tuple[Line, ...]

    @property
    def dollars(self) -> Decimal:
        """All of it."""
        return sum((line.dollars for line in self.lines), Decimal(0))

    @property
    def events(self) -> int:
        """How many."""
        return sum(line.many for line in self.lines)


async def of_brand(
    database: Database, tenants: Tenants, brand: str, pricing: Pricing, now: datetime, month: str | None = None
) -> list[AccountBill]:
    """What was charged for a brand's accounts in a month, by default the current one; the dearest first."""
    return _bills(await Charges(database, tenants).of_brand(brand, month or month_of(now)), pricing)


async def of_all(
    database: Database, pricing: Pricing, now: datetime, month: str | None = None
) -> dict[str, list[AccountBill]]:
    """What each platform that charges did in a month, for all brands and for accounts that nobody connected."""
    charges = Charges(database, Tenants(None))
    return {
        platform: _bills(await charges.of_month(platform, month or month_of(now)), pricing) for platform in CHARGING
    }


async def expected(
    database: Database, tenants: Tenants, brand: str, pricing: Pricing, now: datetime,
    followers: int | None = None, mentions: int | None = None,
) -> Expected | None:  # fmt: skip
    """What an X account of the brand may cost in a month; None where nothing is known that it could follow from."""
    history = await Charges(database, tenants).history(brand, now)
    return domain.expected(Known(followers, mentions, history), pricing.prices)


def typed_number(text: str) -> int | None:
    """A number of people or mentions as somebody types it, such as `12,000`; None for nothing. Raises ValueError."""
    digits = re.sub(r"[\s,.'_]", "", text)
    if not digits:
        return None
    if not re.fullmatch("[0-9]{1,10}", digits) or int(digits) > MOST_FOLLOWERS:
        raise ValueError("use a whole number, such as 12000")
    return int(digits)


def total(bills: Iterable[AccountBill]) -> Decimal:
    """What they come to."""
    return sum((each.dollars for each in bills), Decimal(0))


def _bills(counts: Iterable[Counted], pricing: Pricing) -> list[AccountBill]:
    by_account: dict[str | None, list[tuple[str, int]]] = {}
    for each in counts:
        by_account.setdefault(each.account, []).append((each.what, each.many))
    bills = [AccountBill(account, tuple(domain.bill(its, pricing.prices))) for account, its in by_account.items()]
    return sorted(bills, key=lambda bill: (-bill.dollars, bill.account or ""))


def by_account(bills: Iterable[AccountBill]) -> Mapping[str | None, AccountBill]:
    """The bills by account."""
    return {each.account: each for each in bills}
