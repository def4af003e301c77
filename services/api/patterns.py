"""Says in words what pydantic says by a pattern or in its own terms."""

from collections.abc import Mapping
from typing import Any

from services.api.schemas.common import ACCOUNT_ID_PATTERN, ID_PATTERN

WORDS = {
    ID_PATTERN: "1 to 63 small letters, digits, - and _ are possible, beginning with a letter or digit",
    ACCOUNT_ID_PATTERN: "1 to 128 letters, digits and . _ : @ - are possible, beginning with a letter or digit",
    r"^\S+$": "a hashtag has no blanks",
    r"^[!-~]+$": "an address has ASCII characters only, and no blanks",
    r"^[0-9a-f]{64}$": "64 digits and letters from a to f are needed, as entries have them",
    r"^\w[\w -]{0,62}$": "1 to 63 letters, digits, blanks, - and _ are possible, beginning with a letter or digit",
    "^(week|month)$": "week or month is needed",
}
"""By pattern."""


def said(error: Mapping[str, Any]) -> str:
    """What is wrong, of one of pydantic's errors."""
    if error["type"] == "string_pattern_mismatch":
        words = WORDS.get(error["ctx"]["pattern"])
        if words is not None:
            return words
    return str(error["msg"]).removeprefix("Value error, ")
