"""Routes of connecting an account. The consent itself is given in the portal."""

from fastapi import APIRouter

from services.api.connecting import service as connecting
from services.api.connecting.documents import AttemptDocument
from services.api.connecting.schemas import AskedPermission, Attempt, AttemptInput, Push
from services.api.connecting.service import Connecting, ConnectingDep
from services.api.connecting.vendors.table import VENDORS
from services.api.http.context import ContextDep
from services.api.http.problems import responses
from services.api.keys.service import AdminBrand, PrincipalDep

router = APIRouter(prefix="/v1", tags=["accounts"])


@router.post("/brands/{brand}/connections", status_code=201, responses=responses(403, 404, 409, 429))
async def begin_connecting(
    brand: str, new: AttemptInput, _tenants: AdminBrand, who: PrincipalDep, context: ContextDep, with_: ConnectingDep
) -> Attempt:
    """Begins to connect an account by the consent of its owner. It goes on at `address`, in a browser."""
    connecting.limit(context, who.key)
    made = await connecting.begin(context, with_, brand, who.name, new.vendor, new.service, new.account, new.id)
    return _attempt(made, with_)


@router.get("/brands/{brand}/connections/{id}", responses=responses(403, 404))
async def get_connecting(
    brand: str, id: str, _tenants: AdminBrand, context: ContextDep, with_: ConnectingDep
) -> Attempt:
    """How far an attempt to connect an account is."""
    return _attempt(await connecting.existing(context, brand, id), with_)


def _attempt(found: AttemptDocument, with_: Connecting) -> Attempt:
    asked = found["step"] in ("granted", "connected")
    return Attempt(
        id=found["_id"],
        vendor=found["vendor"],
        platform=VENDORS[found["vendor"]].platform,
        address=f"{with_.portal}/brands/{found['brand']}/connect/{found['_id']}",
        step=found["step"],
        failed_at=found["failed_at"],
        why=found["why"],
        permissions=[
            AskedPermission(
                scope=each.permission.scope,
                purpose=each.permission.purpose,
                needed=each.permission.needed,
                granted=each.granted if asked else None,
                remedy=each.permission.remedy,
            )
            for each in connecting.shown(found)
        ],
        account=found["connected"],
        replaced=found["replaced"],
        push=Push(**push) if (push := found.get("push")) else None,
        until=found["until"],
    )
