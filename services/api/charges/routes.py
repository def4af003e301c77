"""Routes about what platforms charge."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query

from rapport.domain.charges import READ_ON, SOURCE, Line
from rapport.kit import clock
from services.api.charges import service
from services.api.charges.documents import month_of
from services.api.charges.schemas import (
    AccountCharged,
    Charged,
    CostExpected,
    EventsCharged,
    InstallationCharged,
    KnownQuery,
    MonthQuery,
    PartExpected,
)
from services.api.charges.service import NOT_COUNTED, AccountBill
from services.api.http.context import ContextDep
from services.api.http.problems import ProblemError, responses
from services.api.keys.service import Admin, AdminBrand

router = APIRouter(prefix="/v1", tags=["charges"])


@router.get("/brands/{brand}/charges", responses=responses(403, 404))
async def brand_charges(
    brand: str, asked: Annotated[MonthQuery, Query()], tenants: AdminBrand, context: ContextDep
) -> Charged:
    """What X charged for a brand's accounts in a month, event by event. Only X charges."""
    now = clock.now()
    bills = await service.of_brand(context.database, tenants, brand, context.pricing, now, asked.month)
    return _charged(asked.month or month_of(now), {"x": bills})


@router.get("/brands/{brand}/charges/expected", responses=responses(403, 404))
async def expected_charges(
    brand: str, asked: Annotated[KnownQuery, Query()], tenants: AdminBrand, context: ContextDep
) -> CostExpected:
    """What an account on X may cost in a month, before it is connected.

    It follows from the replies and mentions or the followers that you name, else from what the brand's other accounts
    had in the last 30 days.
    """
    found = await service.expected(
        context.database, tenants, brand, context.pricing, clock.now(), asked.followers, asked.mentions
    )
    return CostExpected(
        low=_dollars(found.low) if found else None,
        high=_dollars(found.high) if found else None,
        parts=[
            PartExpected(
                name=part.name, fewest=part.fewest, most=part.most, low=_dollars(part.low), high=_dollars(part.high)
            )
            for part in (found.parts if found else ())
        ],
        assumes=list(found.assumes) if found else [],
        prices_read_on=READ_ON.isoformat(),
        prices_source=SOURCE,
    )


@router.get("/charges", responses=responses(403))
async def all_charges(asked: Annotated[MonthQuery, Query()], who: Admin, context: ContextDep) -> InstallationCharged:
    """What X charged in a month for all brands, also for accounts that are subscribed to and connected nowhere here.

    Only for keys that may administer all brands.
    """
    if who.tenants.brands is not None:
        raise ProblemError(403, "forbidden", "this key is for some brands; ask for the charges of each of them")
    now = clock.now()
    bills = await service.of_all(context.database, context.pricing, now, asked.month)
    budget = context.pricing.budget
    charged = _charged(asked.month or month_of(now), bills)
    return InstallationCharged(**charged.model_dump(), budget=None if budget is None else _dollars(budget))


def _charged(month: str, bills: dict[str, list[AccountBill]]) -> Charged:
    return Charged(
        month=month,
        dollars=_dollars(sum((service.total(its) for its in bills.values()), Decimal(0))),
        accounts=[
            AccountCharged(
                account=bill.account, platform=platform, dollars=_dollars(bill.dollars), events=_events(bill.lines)
            )
            for platform, its in bills.items()
            for bill in its
        ],
        prices_read_on=READ_ON.isoformat(),
        not_counted=list(NOT_COUNTED),
    )


def _events(lines: Sequence[Line]) -> list[EventsCharged]:
    return [
        EventsCharged(
            event=line.what, count=line.many, price=None if line.price is None else float(line.price),
            dollars=_dollars(line.dollars),
        )
        for line in lines
    ]  # fmt: skip


def _dollars(amount: Decimal) -> float:
    return float(round(amount, 6))
