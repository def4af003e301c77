"""Sends interactions through the generic door, one request at a time, as anybody could."""

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

import httpx
import msgspec

from rapport.kit import backoff

GIVE_UP_AFTER_SECONDS = 120.0
"""How long a door that is away is tried again. A rolling upgrade takes less."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 15.0
LONGEST_ASKED_SECONDS = 30.0
"""How long a server may ask us to wait."""
TIMEOUT_SECONDS = 60.0
"""The door itself waits up to 30 s for the broker's acknowledgement."""
_LATER = frozenset({429, 500, 502, 503, 504})


class NotSentError(Exception):
    """Something was not taken, and sending it again will not help now. The text says why in one sentence."""


class _Rejected(msgspec.Struct):
    index: int
    why: str
    field: str = ""


class _Problem(msgspec.Struct):
    detail: str = ""
    title: str = ""
    errors: list[_Rejected] = []


class _Accepted(msgspec.Struct):
    accepted: list[str]


class Door:
    """The generic door, for one account. Use as a context manager."""

    def __init__(
        self,
        url: str,
        account: str,
        secret: str,
        tell: Callable[[str], object],
        *,
        wait: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`tell` hears why something is tried again."""
        self._url = url.rstrip("/")
        self._account = account
        self._secret = secret.encode("utf-8", "surrogateescape")
        self._tell = tell
        self._wait = wait
        self._clock = clock
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, lines: Sequence[bytes]) -> dict[int, str]:
        """Sends interactions, each as one line of JSON. Returns why some were refused, by their place; the others are
        in the log. Raises NotSentError.
        """
        refused: dict[int, str] = {}
        left = list(range(len(lines)))
        while left:
            answer = self._answered(b"\n".join(lines[place] for place in left))
            if answer.status_code == HTTPStatus.ACCEPTED:
                self._check(answer, len(left))
                break
            problem = _problem(answer)
            wrong = {each.index: each for each in problem.errors if 0 <= each.index < len(left)}
            if answer.status_code != HTTPStatus.UNPROCESSABLE_ENTITY or not wrong:
                reason = " ".join((problem.detail or problem.title or "without a reason").split())[:500]
                raise NotSentError(f"the door at {self._url} refused ({answer.status_code}): {reason}")
            refused |= {left[index]: f"{each.field}: {each.why}".lstrip(": ") for index, each in wrong.items()}
            left = [place for index, place in enumerate(left) if index not in wrong]
        return refused

    def _answered(self, body: bytes) -> httpx.Response:
        """The first answer that is not about another time."""
        until = self._clock() + GIVE_UP_AFTER_SECONDS
        for delay in backoff.delays(FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS):
            asked = 0.0
            try:
                answer = self._http.post(
                    f"{self._url}/v1/interactions", content=body, headers=self._headers(body)
                )  # fmt: skip
            except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
                raise NotSentError(f"{self._url!r} is not the address of a door: {error}") from None
            except httpx.HTTPError as error:
                why = f"does not answer: {' '.join(str(error).split()) or type(error).__name__}"
            else:
                if answer.status_code not in _LATER:
                    return answer
                problem = _problem(answer)
                why = f"cannot take it now ({answer.status_code}): {problem.detail or problem.title}".rstrip(": ")
                asked = _seconds(answer.headers.get("retry-after", ""))
            pause = max(delay, asked)
            if self._clock() + pause > until:
                raise NotSentError(f"the door at {self._url} {why}")
            self._tell(f"the door {why}; trying again in {pause:.0f} s")
            self._wait(pause)
        raise AssertionError("delays never end")

    def _headers(self, body: bytes) -> dict[str, str]:
        return {
            "X-Rapport-Account": self._account,
            "X-Rapport-Signature-256": f"sha256={hmac.new(self._secret, body, hashlib.sha256).hexdigest()}",
            "Content-Type": "application/x-ndjson",
        }

    def _check(self, answer: httpx.Response, count: int) -> None:
        try:
            accepted = msgspec.json.decode(answer.content, type=_Accepted).accepted
        except msgspec.DecodeError:
            accepted = []
        if len(accepted) != count:
            raise NotSentError(f"what answers at {self._url} is not Rapport's generic door")


def _problem(answer: httpx.Response) -> _Problem:
    try:
        return msgspec.json.decode(answer.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Problem(detail=answer.text[:200])


def _seconds(asked: str) -> float:
    return min(float(asked), LONGEST_ASKED_SECONDS) if asked.isascii() and asked.isdigit() else 0.0
