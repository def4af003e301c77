"""Who may be the same person: suggestions, and links from a file."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.api import linking
from services.api.auth import Principal, require
from services.api.context import Context, ContextDep
from services.api.portal.frame import HEADERS, Brand, Visitor, named, page, same_origin, sentence
from services.api.problems import ProblemError
from services.api.schemas.identities import ImportOutcome, LinkInput

router = APIRouter(include_in_schema=False)

WHY_SUGGESTED = "Their profiles have verified links to each other."


@router.get("/brands/{brand}/identities")
async def identities_page(brand: Brand, who: Visitor, context: ContextDep) -> HTMLResponse:
    """Suggestions, and the form for a file."""
    return await _identities(context, brand, who)


async def _identities(
    context: Context,
    brand: dict[str, Any],
    who: Principal,
    status: int = 200,
    *,
    text: str = "",
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
        text=text,
        outcome=outcome,
        wrong=wrong,
        columns=linking.COLUMNS,
    )


@router.post("/brands/{brand}/identities/suggestion")
async def take_suggestion(
    request: Request,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    a: Annotated[str, Form()],
    b: Annotated[str, Form()],
) -> Response:
    """The button that links a suggested pair."""
    same_origin(request)
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
    request: Request,
    brand: Brand,
    who: Visitor,
    context: ContextDep,
    file: UploadFile | None = None,
    text: Annotated[str, Form()] = "",
    agree: Annotated[bool, Form()] = False,
) -> Response:
    """The form of a file: what is wrong with it first, and its good rows once that is agreed to."""
    same_origin(request)
    require(who, "write")
    if file is not None and file.filename:
        try:
            text = (await file.read()).decode("utf-8")
        except UnicodeDecodeError as error:
            return await _identities(
                context, brand, who, 422, wrong=f"This file is not UTF-8, from its byte {error.start} on."
            )
    if not text.strip():
        return await _identities(context, brand, who, 422, wrong="Choose a file.")
    try:
        outcome = await linking.take_file(context, brand["_id"], who.name, text, agree)
    except ProblemError as error:
        return await _identities(context, brand, who, 422, wrong=sentence(error))
    return await _identities(context, brand, who, text=text, outcome=outcome)
