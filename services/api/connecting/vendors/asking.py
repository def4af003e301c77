"""Asks vendors: bounded in size and time, past redirects and proxies, and with words for whatever goes wrong."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import httpx
import msgspec

from rapport.kit.http.outgoing import GuardedHttp, NoPublicAddressError, RefusedAddressError, described, moved_to
from rapport.kit.text import plain

LARGEST_ANSWER = 1_048_576
"""Bytes. A page of a hundred Facebook pages with their tokens has about 60,000."""
LONGEST_SECRET = 2_048
"""Characters of a token: what a connection takes."""
LONGEST_TEXT = 512
LONGEST_SAID = 200
"""Characters of a vendor's own words that are passed on."""
USER_AGENT = "rapport"
FORM = "application/x-www-form-urlencoded"
OK = range(200, 300)
MOVED = range(300, 400)


class VendorError(Exception):
    """The vendor does not do what was asked. The text says why, for people; no secret is in it."""

    def __init__(self, why: str, code: str = "", *, again: bool = False, lost: bool = False, remedy: str = "") -> None:
        """`code` is the vendor's. `again`: it may work later. `lost`: it may have been done, and we were not told.

        `remedy` is what somebody has to do, in sentences, where it is always the same.
        """
        super().__init__(why)
        self.code = code
        self.again = again
        self.lost = lost
        self.remedy = remedy


class Asking:
    """Asks one vendor. `secrets` are kept out of every error's text."""

    def __init__(self, http: GuardedHttp, title: str) -> None:
        self._http = http
        self._title = title

    async def form(
        self, url: str, fields: str, headers: Mapping[str, str] | None = None, *, secrets: Sequence[str] = ()
    ) -> dict[str, Any]:
        """The JSON object that a form (urlencoded `fields`) is answered with. Raises VendorError."""
        given = {"Content-Type": FORM, **(headers or {})}
        return await self._asked("POST", url, given, fields.encode(), secrets)

    async def body(self, url: str, content: Mapping[str, str], *, secrets: Sequence[str] = ()) -> dict[str, Any]:
        """The same for a JSON object that is sent."""
        given = {"Content-Type": "application/json"}
        return await self._asked("POST", url, given, msgspec.json.encode(content), secrets)

    async def get(
        self,
        url: str,
        query: Mapping[str, str] | None = None,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
    ) -> dict[str, Any]:
        """What an address says to the holder of a token. Raises VendorError."""
        given = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        whole = f"{url}?{urlencode(query)}" if query else url
        return await self._asked("GET", whole, given, None, [token, *secrets])

    async def change(
        self,
        method: str,
        url: str,
        query: Mapping[str, str] | None = None,
        content: Mapping[str, Any] | None = None,
        *,
        token: str,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The same where the holder of a token changes something. Empty where the answer is. Raises VendorError."""
        given = {"Authorization": f"Bearer {token}", **(headers or {})}
        whole = f"{url}?{urlencode(query)}" if query else url
        if content is not None:
            given["Content-Type"] = "application/json"
        body = msgspec.json.encode(content) if content is not None else None
        return await self._asked(method, whole, given, body, [token], may_be_empty=True)

    async def _asked(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None,
        secrets: Sequence[str],
        *,
        may_be_empty: bool = False,
    ) -> dict[str, Any]:
        given = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": USER_AGENT, **headers}
        try:
            status, told, body = await self._http.send(method, url, given, content, largest=LARGEST_ANSWER + 1)
        except RefusedAddressError as error:
            raise VendorError(f"its address cannot be used: {error}") from None
        except (NoPublicAddressError, httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise VendorError(f"{self._title} cannot be reached: {described(error)}", again=True) from None
        except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise VendorError(
                f"{self._title} did not answer as it should: {described(error)}", again=True, lost=True
            ) from None
        if len(body) > LARGEST_ANSWER:
            raise VendorError(f"{self._title} answered with more than {LARGEST_ANSWER} bytes", again=True, lost=True)
        found = {} if may_be_empty and not body.strip() else _object(body)
        if status in OK and found is not None and not refuses(found):
            return found
        if status in OK and found is None:
            raise VendorError(f"{self._title} answered with something that is not JSON", again=True, lost=True)
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise VendorError(f"{self._title} wants us to wait: its limit of requests is reached", again=True)
        if status in MOVED:
            raise VendorError(f"{self._title} answered {status}{moved_to(told)}; nobody is led on from there")
        code, said = problem(found or {})
        why = f"{self._title} answered {status}" + (f": {scrubbed(said, secrets)}" if said else "")
        raise VendorError(why, code, again=status >= 500, lost=status >= 500)


def refuses(found: Mapping[str, Any]) -> bool:
    """Whether an answer is a refusal, whatever its status: what it lacks then says nothing.

    Some vendors put an `error` without words into each answer.
    """
    error = found.get("error")
    said = error.get("message") if isinstance(error, Mapping) else error
    return (isinstance(said, str) and said != "") or bool(objects(found, "errors") and not found.get("data"))


def problem(found: Mapping[str, Any]) -> tuple[str, str]:
    """The code and the words of a vendor's refusal, as RFC 6749 writes it, as Meta does, and as others do."""
    error = found.get("error") or next(iter(objects(found, "errors")), None)
    if isinstance(error, Mapping):
        code = error.get("code") or found.get("title")
        said = error.get("message") or found.get("detail") or error.get("detail") or error.get("title")
        if subcode := error.get("error_subcode"):
            code = f"{code}/{subcode}"
    else:
        code = error or found.get("code") or found.get("error_type") or found.get("title")
        said = found.get("error_description") or found.get("error_message") or found.get("message") or error
        said = said or found.get("detail")
    return str(code or "")[:LONGEST_SAID], said if isinstance(said, str) else ""


def scrubbed(said: str, secrets: Sequence[str] = ()) -> str:
    """A vendor's own words, short and harmless, and without our secrets."""
    # In this order: a secret could be cut in two, or be taken apart by characters that nobody sees.
    said = plain(said)
    for secret in secrets:
        if len(secret) > 3:
            for form in {secret, quote(secret, safe=""), quote_plus(secret)}:
                said = said.replace(form, "…")
    return said.strip().rstrip(".")[:LONGEST_SAID]


def text(found: Any, name: str, most: int = LONGEST_TEXT) -> str:
    """A field as text; empty where it is missing, is something else, or is too long. Numbers are ids."""
    value = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and len(value) <= most else ""


def seconds(found: Any, name: str) -> float | None:
    """A duration in seconds; None where it is missing or makes no sense. A century is the longest."""
    value = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 100 * 366 * 86_400 else None


def objects(found: Any, name: str) -> list[dict[str, Any]]:
    """The objects in a list; empty where there is none."""
    value = found.get(name) if isinstance(found, Mapping) else None
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def inside(found: Any, name: str) -> dict[str, Any]:
    """An object in another one; empty where there is none."""
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, dict) else {}


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
