"""Pages as Mastodon cuts them, newest first."""

from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

PAGED = ("min_id", "since_id", "max_id", "page")


def _order(id: str | None) -> tuple[int, str]:
    return len(id or ""), id or ""


def size_of(query: QueryParams, default: int, most: int) -> int:
    """How many are on a page: as many as are asked for, but no more than `most`."""
    given = query.get("limit", "")
    return min(int(given), most) if given.isdigit() else default


def page_of(items: list[tuple[str, Any]], query: QueryParams, default: int, most: int) -> list[tuple[str, Any]]:
    """Newest first. With `min_id` the ones that come right after it; with `since_id` the newest ones after it."""
    size, upper = size_of(query, default, most), query.get("max_id")
    lower = query.get("min_id") or query.get("since_id")
    inside = sorted(
        (item for item in items
         if (not upper or _order(item[0]) < _order(upper)) and (not lower or _order(item[0]) > _order(lower))),
        key=lambda item: _order(item[0]),
    )  # fmt: skip
    chosen = inside[:size] if query.get("min_id") else inside[max(len(inside) - size, 0) :]
    return chosen[::-1]


def links_of(path: str, kept: list[tuple[str, str]], ids: list[str], *, more: bool) -> dict[str, str]:
    """The header `Link`: the page before, which is older, as `next`, and the page after as `prev`."""
    if not ids:
        return {}
    older = [f'<{path}?{urlencode([*kept, ("max_id", ids[-1])])}>; rel="next"'] if more else []
    return {"Link": ", ".join([*older, f'<{path}?{urlencode([*kept, ("min_id", ids[0])])}>; rel="prev"'])}
