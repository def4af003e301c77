"""The page for linking followers who are the same person: suggestions, and links from a file."""

from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.api.brands.documents import BrandDocument
from services.api.http.context import Context, ContextDep
from services.api.http.problems import ProblemError
from services.api.identities import service as identities
from services.api.identities.schemas import ImportOutcome, LinkInput
from services.api.keys.service import Principal
from services.api.web import forms
from services.api.web.form_fields import Ref
from services.api.web.forms import FormRoute
from services.api.web.frame import HEADERS, Brand, Editor, Visitor, named, page, sentence

router = APIRouter(include_in_schema=False, route_class=FormRoute)

WHY_SUGGESTED = "Their profiles have verified links to each other."


@router.get("/brands/{brand}/identities")
async def identities_page(
    brand: Brand, who: Visitor, context: ContextDep, linked: int = 0, already: int = 0, left: int = 0
) -> HTMLResponse:
    """Suggestions and the form for a file, with the result of a file that was just imported."""
    return await _identities(context, brand, who, taken=(linked, already, left) if linked or already else None)


async def _identities(
    context: Context,
    brand: BrandDocument,
    who: Principal,
    status: int = 200,
    *,
    file: str = "",
    taken: tuple[int, int, int] | None = None,
    outcome: ImportOutcome | None = None,
    wrong: str = "",
) -> HTMLResponse:
    return page(
        "identities/identities.html",
        status,
        who=who,
        brand=named(brand),
        suggestions=await identities.suggestions(context, brand["_id"]),
        file=file,
        taken=taken,
        outcome=outcome,
        wrong=wrong,
        columns=identities.COLUMNS,
    )


@router.post("/brands/{brand}/identities/suggestion")
async def take_suggestion(
    brand: Brand,
    who: Editor,
    context: ContextDep,
    a: Ref,
    b: Ref,
) -> Response:
    """The button that links a suggested pair."""
    said = LinkInput.model_construct(a=a, b=b, why=WHY_SUGGESTED)
    try:
        await identities.link(context, brand["_id"], who.name, said, "suggestion")
    except ProblemError as error:
        if error.status != 409:  # somebody else was faster
            raise
    return RedirectResponse(f"/brands/{brand['_id']}/identities", 303, headers=HEADERS)


@router.post("/brands/{brand}/identities/file")
async def take_file(
    brand: Brand,
    who: Editor,
    context: ContextDep,
    file: UploadFile | None = None,
    agree: Annotated[bool, Form()] = False,
) -> Response:
    """The form for a file: first a preview of what is wrong; the good rows are linked on confirmation."""
    raw = await forms.sent_file(file)
    if not raw.strip():
        return await _identities(context, brand, who, 422, wrong="Choose a file.")
    try:
        outcome = await identities.take_file(context, brand["_id"], who.name, raw, agree)
    except ProblemError as error:
        return await _identities(context, brand, who, 422, wrong=sentence(error))
    if outcome.imported or outcome.already:
        query = f"linked={outcome.imported}&already={outcome.already}&left={len(outcome.bad)}"
        return RedirectResponse(f"/brands/{brand['_id']}/identities?{query}", 303, headers=HEADERS)
    return await _identities(context, brand, who, file=forms.kept_file(raw), outcome=outcome)
