"""The page of the content mix."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query
from pydantic import ValidationError
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rapport.domain.mix.labels import FORMATS, LABELS
from rapport.domain.words import fold
from rapport.kit import clock
from services.api.brands.documents import BrandDocument
from services.api.http.context import Context, ContextDep
from services.api.keys.service import Principal
from services.api.mix import service as mix
from services.api.mix.schemas import MOST_RULES, Label, MixRule, MixSettings, PostsQuery
from services.api.web import forms
from services.api.web.forms import FormRoute
from services.api.web.frame import HEADERS, Brand, Cursor, Editor, Visitor, named, page

router = APIRouter(include_in_schema=False, route_class=FormRoute)

PERIODS = {7: "7 days", 30: "30 days", 90: "90 days", 365: "A year"}
USUAL = 30
UNSORTED_SHOWN = 10
TARGETS = (*LABELS, *FORMATS)
"""The fields of the form: shares in percent."""

Days = Annotated[int, Query()]


@router.get("/brands/{brand}/mix")
async def mix_page(
    brand: Brand, who: Visitor, context: ContextDep, days: Days = USUAL, cursor: Cursor = None, sorted: str = ""
) -> HTMLResponse:
    """The mix of the last `days`. `sorted` is a post that just got a label."""
    return await _page(context, brand, who, days=days, cursor=cursor, sorted_ref=sorted)


async def _page(
    context: Context,
    brand: BrandDocument,
    who: Principal,
    status: int = 200,
    *,
    days: int = USUAL,
    cursor: str | None = None,
    sorted_ref: str = "",
    sent: Mapping[str, str] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The page. `wrong`: what is wrong with the targets and rules that were `sent`."""
    now = datetime.now(UTC)
    days = days if days in PERIODS else USUAL
    first = now.astimezone(ZoneInfo(brand["settings"]["timezone"])).date() - timedelta(days=days - 1)
    found = await mix.mix(context.database, brand, first, None, now)
    query = PostsQuery.model_validate({"label": "unsorted", "from": first, "cursor": cursor, "limit": UNSORTED_SHOWN})
    posts = await mix.posts(context.database, brand, query, now)
    just = await mix.post(context.database, brand["_id"], sorted_ref) if sorted_ref else None
    wanted = await mix.settings(context.database, brand["_id"])
    return page(
        "mix/mix.html",
        status,
        who=who,
        brand=named(brand),
        periods=PERIODS,
        days=days,
        mix=found,
        unsorted=posts,
        just=just if just is not None and just.label_by == "hand" else None,
        targets=TARGETS,
        sent=_typed(wanted) if sent is None else sent,
        version=forms.version_of(wanted),
        wrong=wrong or {},
    )


def _typed(wanted: MixSettings) -> dict[str, str]:
    """The settings as text for the form."""
    targets = dict([*wanted.labels.items(), *wanted.formats.items()])
    lines = [f"{rule.label}: {f'#{rule.hashtag}' if rule.hashtag else rule.word}" for rule in wanted.rules]
    return {
        **{name: f"{targets[name] * 100:g}" if name in targets else "" for name in TARGETS},
        "rules": "\n".join(lines),
    }


@router.post("/brands/{brand}/mix/posts/{id}/label")
async def label_post(
    id: str,
    brand: Brand,
    who: Editor,
    context: ContextDep,
    label: Annotated[Label | None, Form()] = None,
    days: Annotated[int, Form()] = USUAL,
) -> Response:
    """The buttons that label a post, and the one that undoes it."""
    if label is None:
        await mix.unlabel(context.database, brand["_id"], id)
        return _back(brand, days=days)
    await mix.label(context.database, brand["_id"], id, label, who.name, clock.now())
    return _back(brand, days=days, sorted=id)


@router.post("/brands/{brand}/mix/settings")
async def set_mix(brand: Brand, who: Editor, context: ContextDep) -> Response:
    """The form for targets and rules."""
    typed = dict(forms.sent())
    sent = {name: forms.as_stored(typed.get(name, "")) for name in (*TARGETS, "rules")}
    wanted = await mix.settings(context.database, brand["_id"])
    if forms.stale(forms.version_of(wanted)):
        return await _page(context, brand, who, 409, sent=sent, wrong={"": forms.STALE})
    wrong: dict[str, str] = {}
    targets = _targets(sent, wrong)
    before = _typed(wanted)
    unchanged = forms.kept(sent["rules"], before["rules"]) == before["rules"]
    rules = wanted.rules if unchanged else _rules(sent["rules"], wrong)
    if wrong:
        return await _page(context, brand, who, 422, sent=sent, wrong=wrong)
    # The form rounds; what nobody changed stays exact.
    for field, stored in (("labels", wanted.labels), ("formats", wanted.formats)):
        targets[field] |= {name: share for name, share in stored.items() if sent[name].strip() == before[name]}
    new = MixSettings(rules=rules, **targets)
    if new != wanted:
        await mix.set_settings(context.database, brand["_id"], new)
    return RedirectResponse(f"/brands/{brand['_id']}/mix", 303, headers=HEADERS)


def _targets(sent: Mapping[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field, names in (("labels", LABELS), ("formats", FORMATS)):
        shares: dict[str, float] = {}
        for name in names:
            typed = sent[name].strip().removesuffix("%").strip().replace(",", ".")
            try:
                percent = float(typed) if typed else None
            except ValueError:
                percent = -1.0
            if percent is not None:
                if not 0 <= percent <= 100:
                    wrong[name] = "A share is a number from 0 to 100."
                shares[name] = round(percent / 100, 12)  # 33.3 / 100 is a little less than 0.333
        if sum(shares.values()) > 1 + 1e-9 and not any(name in wrong for name in names):
            wrong[names[0]] = f"Together these are {sum(shares.values()) * 100:g} %, which is more than 100 %."
        found[field] = shares
    return found


def _rules(typed: str, wrong: dict[str, str]) -> list[MixRule]:
    found: list[MixRule] = []
    for number, line in enumerate(typed.split("\n"), 1):
        if not line.strip():
            continue
        if len(found) == MOST_RULES:
            wrong["rules"] = f"A brand can have at most {MOST_RULES} rules."
            break
        label, _, what = (part.strip() for part in line.partition(":"))
        named = {"hashtag": what} if what.startswith(("#", "＃")) else {"word": what}
        try:
            rule = MixRule.model_validate({"label": fold(label), **named})
        except ValidationError:
            how = "“business:” or “personal:”, then one #hashtag, or a word or phrase"
            wrong["rules"] = f"Line {number}: write {how}."
            break
        for why in mix.rule_flaws(rule).values():
            wrong.setdefault("rules", f"Line {number}: {why}.")
        found.append(rule)
    return found


def _back(brand: BrandDocument, **query: Any) -> Response:
    return RedirectResponse(f"/brands/{brand['_id']}/mix?{urlencode(query)}#unsorted", 303, headers=HEADERS)
