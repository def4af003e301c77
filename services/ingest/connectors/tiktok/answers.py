"""What TikTok's answers mean. Each has the status 200; whether it was done stands in the `code` of its body.

Source: https://business-api.tiktok.com/portal/docs?id=1737172488964097 (return codes)
"""

from typing import TypeVar

from msgspec import Struct

from services.ingest.errands.words import read, refusal
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError

LIMITED_SECONDS = 300.0
"""TikTok does not say when it answers again. It may take five minutes."""
LIMITED = frozenset({40100, 40016, 40133})
TOKEN = frozenset({40102, 40104, 40105})
PERMISSION = frozenset({40001, 40130})
FAILS = 50_000

T = TypeVar("T")


class _Coded(Struct):
    code: int
    message: str | None = None


def checked(answer: bytes, shape: type[T]) -> T:
    """The answer as `shape`, if what was asked was done.

    Raises AttentionError for a token or a permission that is gone, LimitedError, AwayError where TikTok fails or cannot
    be understood, and RefusedError for everything else.
    """
    found = read(answer, _Coded)
    if found.code == 0:
        return read(answer, shape)
    if found.code in LIMITED:
        raise LimitedError(LIMITED_SECONDS)
    said = refusal(answer, _Coded, lambda its: its.message)
    if found.code in TOKEN:
        raise AttentionError("the platform does not accept its token any more")
    if found.code in PERMISSION:
        raise AttentionError(f"its token lacks a permission: {said}")
    if found.code >= FAILS:
        raise AwayError(said, incident=True)
    raise RefusedError(said)
