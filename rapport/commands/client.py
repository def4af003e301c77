"""The client of the HTTP API that the commands use."""

import os
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from rapport.commands.options import fail
from rapport.commands.sentences import one_line

Place = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="The folder of an installation that runs here. Default: RAPPORT_API_URL and RAPPORT_KEY, else `data`.",
    ),
]
_TIMEOUT_SECONDS = 40.0  # the API waits up to 30 s for the broker's acknowledgement


def path(*parts: str) -> str:
    """A path of the API, each part escaped as one segment. Ends the command if a part cannot be one."""
    if wrong := [part for part in parts if part in ("", ".", "..")]:
        fail(f"{wrong[0]!r} is not a valid id")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def call(data: Path | None, method: str, path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
    """The API's answer. Ends the command with the API's own reason if it refuses."""
    return _taken(*_asked(data, method, path, body, **query))


def _asked(
    data: Path | None, method: str, path: str, body: dict[str, Any] | None = None, **query: Any
) -> tuple[str, Any]:
    """The API's address, and its answer."""
    import httpx

    url, key = _address(data)
    if not key.isascii():  # a header could not carry it
        fail("RAPPORT_KEY is not a valid key")
    try:
        answer = httpx.request(
            method,
            f"{url}/v1{path}",
            json=body,
            params=query,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        fail(f"the API at {url} does not answer: {one_line(str(error)) or type(error).__name__}")
    return url, answer


def _taken(url: str, answer: Any) -> Any:
    """The JSON of a good answer. Ends the command for any other."""
    if not answer.is_success:
        fail(f"the API at {url} refused ({answer.status_code}): {_reason(answer)}")
    try:
        return answer.json() if answer.content else None
    except ValueError:
        fail(f"what answers at {url} is not Rapport's API")


def find(data: Path | None, path: str) -> dict[str, Any] | None:
    """One thing; None if the brand exists but has no such thing."""
    url, answer = _asked(data, "GET", path)
    if answer.status_code == HTTPStatus.NOT_FOUND and "no brand" not in _reason(answer):
        return None
    found: dict[str, Any] = _taken(url, answer)
    return found


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
    from rapport.local.running_installation import status

    place = data or Path("data")
    running = status(place)
    if running is None:
        fail(
            f"no installation runs on {place}: start one with `rapport up`, name its folder with --data, "
            "or set RAPPORT_API_URL and RAPPORT_KEY"
        )
    return running.api, running.admin_key


def _reason(answer: Any) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return one_line(answer.text[:500])
    if not isinstance(problem, dict):
        return "without a reason"
    detail = str(problem.get("detail") or problem.get("title") or problem)
    errors = [f"{error['field']}: {error['why']}" for error in problem.get("errors", [])]
    return "; ".join([detail, *(error for error in errors if error not in detail)])
