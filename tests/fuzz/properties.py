"""What holds for whatever is read from outside, whatever stands in it."""

import json
import math
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

import msgspec

from rapport.contracts.events import Interaction
from rapport.domain.exchanges.fitting import UnfitError, fit
from services.ingest.broker import record_of
from services.ingest.hooks.delivery import MOST_PROBLEMS, Delivery

T = TypeVar("T")

MOST_CALLS = 20_000
CALLS_PER_BYTE = 25
"""Calls of Python functions that reading may take. Counted, not timed: so it is the same on every machine."""
MOST_OUTPUT = 64_000
OUTPUT_PER_BYTE = 200
"""Bytes of records that a delivery may become, for each account that it concerns. The least that says something has
some 60 bytes, and what goes with it (names, addresses) may be that of the whole delivery."""
FORESEEN = ("UnreadableError: ", "UnaddressableError: ", "FrameError: ", "StreamError: ")
"""How problems begin that a reader means to name. Others are mistakes of ours that were caught."""
HASHED = "#"
"""Behind it stands in an id what tells one change of a thing from the next."""
_LONGEST_NUMBER = 400
_WORDS = re.compile(r"[^\s(),#@]+")


def counted(read: Callable[[], T], size: int) -> T:
    """What `read` gives, or raises. Fails where it takes more work than so many bytes are worth."""
    calls = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return read()
    finally:
        sys.setprofile(before)
        most = MOST_CALLS + CALLS_PER_BYTE * size
        assert calls <= most, f"{size} bytes took {calls} calls; at most {most} are fine"


def sound(delivery: Delivery, said: Collection[str], size: int, accounts: int) -> None:
    """Fails where a delivery of so many bytes to so many accounts has what nobody said, or more than it is worth."""
    for problem in delivery.problems:
        assert problem.why.startswith(FORESEEN), f"not foreseen: {problem}"
    assert len(delivery.problems) <= MOST_PROBLEMS
    true(delivery.interactions, said, size, accounts)


def true(interactions: Iterable[Interaction], said: Collection[str], size: int, accounts: int = 1) -> None:
    """Fails where interactions have what nobody said, cannot be taken for a reason that nobody foresaw, or are more
    than so many bytes are worth.
    """
    output = 0
    for one in interactions:
        assert one.id, one
        assert one.actor.id, one
        assert comes_from(one.id, said), f"nobody said {one.id!r}"
        assert comes_from(one.actor.id, said), f"{one.id!r}: nobody said {one.actor.id!r}"
        assert comes_from(one.object.id, said), f"{one.id!r}: nobody said {one.object.id!r}"
        try:
            record = record_of(fit(one))
        except UnfitError:
            continue
        assert msgspec.json.decode(record.value, type=Interaction).id == one.id
        output += len(record.value)
    most = accounts * (MOST_OUTPUT + OUTPUT_PER_BYTE * size)
    assert output <= most, f"{size} bytes became {output}; at most {most} are fine"


def comes_from(id: str, said: Collection[str]) -> bool:
    """Whether an id was said, or is put together of what was said."""
    forms = [id, *(id[:place] for place, letter in enumerate(id) if letter == HASHED)]
    return any(_is_said(each, said) for form in forms for each in (form, form.removeprefix("unknown:")))


def _is_said(id: str, said: Collection[str]) -> bool:
    for form in (id, id.removeprefix("@"), id.rpartition("@")[0]):
        if form and form in said:
            return True
    if id.startswith("at://"):
        return all(part in said for part in id.removeprefix("at://").split("/"))
    if ":" in id and all(part in said for part in id.split(":")):
        return True  # who, and whom
    if id.startswith("urn:li:"):
        parts = _WORDS.findall(id.replace("urn:li:", " "))
        return all(any(part in each for each in said) for part in parts if part != "comment:")
    return False


def scalars(body: bytes) -> set[str]:
    """Every text and number in JSON, or in lines of it, as text; also what stands as JSON in a text."""
    found: set[str] = set()
    text = body.decode("utf-8", "replace")
    for part in (text, *text.splitlines()):
        found |= set(_scalars(_parsed(part)))
    return found


def _parsed(text: str) -> Any:
    try:
        # As pairs, because a name may stand there twice; numbers as they are written.
        return json.loads(text, object_pairs_hook=list, parse_int=_Number, parse_float=_Number)
    except (ValueError, RecursionError):
        return None


class _Number(str):
    """A number as it is written."""


def _scalars(value: Any) -> Iterator[str]:
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, list | tuple):
            left += each
        elif isinstance(each, _Number):
            yield from _numbers(each)
        elif isinstance(each, str):
            yield each
            if each[:1] in ("{", "["):
                left.append(_parsed(each))


def _numbers(written: str) -> Iterator[str]:
    """The ways to write a number that mean the same."""
    yield str(written)
    if len(written) <= _LONGEST_NUMBER:
        number = float(written)
        if math.isfinite(number) and number.is_integer():
            yield str(int(number))
            yield str(number)
        if written.lstrip("-").isdigit():
            yield str(int(written))
