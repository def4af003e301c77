"""What platforms say of an errand, in words for people; and whether a text is the one that was sent."""

import unicodedata
from collections.abc import Callable
from typing import TypeVar

from rapport.domain.errands import UNSURE
from rapport.kit.text import one_line, plain
from services.ingest.hooks.delivery import UnreadableError, decode
from services.ingest.polling.api import AwayError

GONE = "the comment is not there any more, or the account may not see it"
UNTOLD = f"{UNSURE}; look on the platform before you send it again"
LONGEST = 300
_UNSAID = "the platform refused it and gave no reason"

T = TypeVar("T")


def refusal(body: bytes, shape: type[T], reason: Callable[[T], str | None]) -> str:
    """The reason in the body of an answer, in one line; if it has none, that it has none."""
    try:
        said = one_line(reason(decode(body, shape)) or "", LONGEST).rstrip(".")  # it ends a sentence of ours
    except UnreadableError:
        said = ""
    return f"the platform refused it: {said}" if said else _UNSAID


def read(answer: bytes, shape: type[T]) -> T:
    """The answer of a platform. Raises AwayError where it is not in this shape: what it means is then not known."""
    try:
        return decode(answer, shape)
    except UnreadableError as error:
        raise AwayError(f"its answer cannot be read: {error}") from None


def same_text(one: str, other: str) -> bool:
    """Whether two texts are the same to a reader: platforms change blanks, line breaks, the form of letters, and marks
    that nobody sees.
    """
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", plain(text)).split())
