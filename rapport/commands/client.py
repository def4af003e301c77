"""The HTTP API as the small commands use it."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from rapport.commands.options import fail

Place = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="The folder of an installation that runs here. Without it RAPPORT_API_URL and RAPPORT_KEY, else `data`.",
    ),
]
_TIMEOUT_SECONDS = 40.0  # the API waits up to 30 s for the broker's acknowledgement


def call(data: Path | None, method: str, path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
    """What the API answers. Ends the command with the API's own reason where it refuses."""
    import httpx

    url, key = _address(data)
    try:
        answer = httpx.request(
            method,
            f"{url}/v1{path}",
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_SECONDS,
        )
    except httpx.HTTPError as error:
        fail(f"the API at {url} does not answer: {type(error).__name__}: {error}")
    if not answer.is_success:
        fail(f"the API at {url} refused ({answer.status_code}): {_reason(answer)}")
    return answer.json()


def items(data: Path | None, path: str) -> list[dict[str, Any]]:
    """All items of a list, page by page."""
    page = call(data, "GET", path)
    found: list[dict[str, Any]] = page["items"]
    while page.get("next"):
        page = call(data, "GET", path, cursor=page["next"])
        found += page["items"]
    return found


def _address(data: Path | None) -> tuple[str, str]:
    url, key = os.environ.get("RAPPORT_API_URL"), os.environ.get("RAPPORT_KEY")
    if data is None and url and key:
        return url.rstrip("/"), key
    from rapport.local.line import status

    place = data or Path("data")
    line = status(place)
    if line is None:
        fail(
            f"no installation runs on {place}: start one with `rapport up`, name its folder with --data, "
            "or set RAPPORT_API_URL and RAPPORT_KEY"
        )
    return line.api, line.admin_key


def _reason(answer: Any) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return str(answer.text[:500])
    detail = str(problem.get("detail") or problem.get("title") or problem)
    errors = [f"{error['field']}: {error['why']}" for error in problem.get("errors", [])]
    return "; ".join([detail, *(error for error in errors if error not in detail)])
