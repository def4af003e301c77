"""Routes of answers, hidings and likes."""

from typing import Annotated

from fastapi import APIRouter, Header

from rapport.contracts.errands import Deed
from services.api.errands import service
from services.api.errands.schemas import AnswerInput, Errand, HidingInput, LikeInput
from services.api.exchanges.repository import Exchanges
from services.api.http.context import Context, ContextDep
from services.api.http.documented import IDEMPOTENCY_KEY
from services.api.http.problems import not_found, responses
from services.api.http.schemas import Page
from services.api.keys.service import Principal, PrincipalDep, ReadBrand, WriteBrand
from services.api.storage.tenants import Tenants

router = APIRouter(prefix="/v1/brands/{brand}/exchanges/{id}", tags=["exchanges"])

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=IDEMPOTENCY_KEY["schema"]["pattern"],
        max_length=IDEMPOTENCY_KEY["schema"]["maxLength"],
        description="Identifies what is to be done. With the same key it is done once, however often it is sent.",
    ),
]


@router.post("/answers", status_code=202, responses=responses(403, 404, 409, 503))
async def answer(
    id: str, said: AnswerInput, key: IdempotencyKey, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Errand:
    """Answers a comment on its platform. The answer comes back as an interaction like any other, and ends the clock."""
    return await _ask(context, tenants, id, who, key, "answer", said.comment, said.text)


@router.post("/hidings", status_code=202, responses=responses(403, 404, 409, 503))
async def hide(
    id: str, said: HidingInput, key: IdempotencyKey, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Errand:
    """Hides a comment on its platform, or shows it again."""
    return await _ask(context, tenants, id, who, key, "unhide" if said.undo else "hide", said.comment)


@router.post("/likes", status_code=202, responses=responses(403, 404, 409, 503))
async def like(
    id: str, said: LikeInput, key: IdempotencyKey, tenants: WriteBrand, who: PrincipalDep, context: ContextDep
) -> Errand:
    """Likes a comment on its platform, as the account."""
    return await _ask(context, tenants, id, who, key, "like", said.comment)


@router.get("/errands", responses=responses(403, 404))
async def list_errands(id: str, tenants: ReadBrand, context: ContextDep) -> Page[Errand]:
    """Answers, hidings and likes of an exchange and how they stand, the latest 100."""
    if await Exchanges(context.database, tenants).find(id) is None:
        raise not_found("exchange")
    return Page(items=await service.of_exchange(context.database, tenants, id))


async def _ask(
    context: Context, tenants: Tenants, id: str, who: Principal, key: str, deed: Deed, comment: str | None,
    text: str | None = None,
) -> Errand:  # fmt: skip
    return await service.ask(context, tenants, id, deed, who.name, f"{who.key}\x1f{key}", comment=comment, text=text)
