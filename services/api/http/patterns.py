"""Puts pydantic's errors into words."""

from collections.abc import Mapping
from typing import Any

from services.api.http.schemas import ACCOUNT_ID_PATTERN, ID_PATTERN

WORDS = {
    ID_PATTERN: "use 1 to 63 lower-case letters, digits, - and _, beginning with a letter or digit",
    ACCOUNT_ID_PATTERN: "use 1 to 128 letters, digits and . _ : @ -, beginning with a letter or digit",
    r"^\S+$": "a hashtag has no spaces",
    r"^[!-~]+$": "use ASCII characters only, without spaces",
    r"^[0-9a-f]{64}$": "use the 64 digits and letters from a to f that an entry has",
    r"^\w[\w -]{0,62}$": "use 1 to 63 letters, digits, spaces, - and _, beginning with a letter or digit",
    "^(week|month)$": "use week or month",
    r"^20[0-9]{2}-(0[1-9]|1[0-2])$": "use a month such as 2026-11",
}
"""By the pattern that was not matched."""


KINDS = (
    (("date_",), "use a day such as 2026-12-31"),
    (("timezone_",), "a time needs a zone, as in 2026-12-31T09:00:00+01:00"),
    (("datetime_",), "use a time such as 2026-12-31T09:00:00+01:00"),
    (("int_",), "use a whole number"),
    (("float_",), "use a number"),
    (("bool_",), "use true or false"),
)
"""By how the type of the error begins."""


def said(error: Mapping[str, Any]) -> str:
    """One of pydantic's errors in words."""
    if error["type"] == "string_pattern_mismatch":
        words = WORDS.get(error["ctx"]["pattern"])
        if words is not None:
            return words
    if error["type"] in ("literal_error", "enum"):
        return f"use {error['ctx']['expected']}".replace("'", "")
    of_kind = next((words for begins, words in KINDS if error["type"].startswith(begins)), None)
    return of_kind or str(error["msg"]).removeprefix("Value error, ").replace("Input should", "it should", 1)
