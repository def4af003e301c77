"""Who may be the same person: suggestions, and links from a file."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.api import linking
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal import forms
from services.api.portal.form_fields import Ref
from services.api.portal.forms import FormRoute
from services.api.portal.frame import HEADERS, Brand, Visitor, named, page, sentence
from services.api.problems import ProblemError
from services.api.schemas.identities import ImportOutcome, LinkInput

router = APIRouter(include_in_schema=False, route_class=FormRoute)

WHY_SUGGESTED = "Their profiles have verified links to each other."


@router.get("/brands/{brand}/identities")
async def identities_page(
    brand: Brand, who: Visitor, context: ContextDep, linked: int = 0, already: int = 0, left: int = 0
) -> HTMLResponse:
    """Suggestions, and the form for a file; with what became of the rows of one that was just taken."""
    return await _identities(context, brand, who, taken=(linked, already, left) if linked or already else None)


async def _identities(
    context: Context,
    brand: dict[str, Any],
    who: Principal,
    status: int = 200,
    *,
    file: str = "",
    taken: tuple[int, int, int] | None = None,
    outcome: ImportOutcome | None = None,
    wrong: str = "",
) -> HTMLResponse:
    return page(
        "identities.html",
        status,
        who=who,
        brand=named(brand),
        suggestions=await linking.suggestions(context, brand["_id"]),
        may_write=who.may("write"),
        file=file,
        taken=taken,
        outcome=outcome,
        wrong=wrong,
        columns=linking.COLUMNS,
    )


@router.post("/brands/{brand}/identities/suggestion")
async def take_suggestion(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    a: Ref,
    b: Ref,
) -> Response:
    """The button that links a suggested pair."""
    require(who, "write")
    said = LinkInput.model_construct(a=a, b=b, why=WHY_SUGGESTED)
    try:
        await linking.link(context, brand["_id"], who.name, said, "suggestion")
    except ProblemError as error:
        if error.status != 409:  # somebody else was faster
            raise
    return RedirectResponse(f"/brands/{brand['_id']}/identities", 303, headers=HEADERS)


@router.post("/brands/{brand}/identities/file")
async def take_file(
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    file: UploadFile | None = None,
    agree: Annotated[bool, Form()] = False,
) -> Response:
    """The form of a file: what is wrong with it first, and its good rows once that is agreed to."""
    require(who, "write")
    raw = await forms.sent_file(file)
    if not raw.strip():
        return await _identities(context, brand, who, 422, wrong="Choose a file.")
    try:
        outcome = await linking.take_file(context, brand["_id"], who.name, raw, agree)
    except ProblemError as error:
        return await _identities(context, brand, who, 422, wrong=sentence(error))
    if outcome.imported or outcome.already:
        query = f"linked={outcome.imported}&already={outcome.already}&left={len(outcome.bad)}"
        return RedirectResponse(f"/brands/{brand['_id']}/identities?{query}", 303, headers=HEADERS)
    return await _identities(context, brand, who, file=forms.kept_file(raw), outcome=outcome)
