"""Changes JSON as somebody who knows its shape would: the fuzzer's own changes of bytes mostly break it."""

import json
import random
from collections.abc import Sequence
from typing import Any

from tests.damage import Path, changed, places

ODD: Sequence[Any] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, -(10**30), 0.0, -0.0, 1.5, 1e3, 1e300, 1e-300,
    "", " ", "0", "-1", "1e400", "NaN", "null", "None", "true", "\x00", "\u202e", "\U0001f980", "é", "unknown:", "#",
    "@", "#delete", "a" * 600, "9" * 600, "[" * 100, [], {}, [[]], [None], [{}], {"id": None}, {"": ""},
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-29T12:00:00", "2026-11-29T12:00:00+23:59",
    1795953605, 1795953605000, -62135596801, 253402300800, 8.64e15,
)  # fmt: skip
"""Values that have been somebody's surprise."""


class Mutator:
    """Makes another JSON of one, with parts of others; the same for the same number."""

    def __init__(self, seeds: Sequence[bytes]) -> None:
        self._others = [value for seed in seeds if (value := _parsed(seed)) is not None]

    def mutated(self, data: bytes, number: int) -> bytes | None:
        """Something near `data`; None where that is no JSON."""
        value = _parsed(data)
        if value is None:
            return None
        draw = random.Random(number)
        for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
            value = self._changed(value, draw)
        return json.dumps(value).encode()

    def _changed(self, value: Any, draw: random.Random) -> Any:
        there = places(value)
        place = draw.choice(there)
        inner = _at(value, place)
        match draw.randrange(7):
            case 0 | 1:
                other = draw.choice(ODD)
            case 2:
                other = _at(value, draw.choice(there))
            case 3 if self._others:
                donor = draw.choice(self._others)
                other = _at(donor, draw.choice(places(donor)))
            case 4 if place:
                return _without(value, place)
            case 5 if isinstance(inner, str) and inner.startswith(("{", "[")):
                nested = _parsed(inner.encode())  # JSON in a text
                other = inner[:-1] if nested is None else json.dumps(self._changed(nested, draw))
            case 6 if isinstance(inner, list):
                other = [*inner, *inner[:50]]
            case _:
                other = [inner]
        return changed(value, place, other)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _at(value: Any, place: Path) -> Any:
    for step in place:
        value = value[step]
    return value


def _without(value: Any, place: Path) -> Any:
    """The value without what stands at a place."""
    outer = _at(value, place[:-1])
    if isinstance(outer, dict):
        left: Any = {name: each for name, each in outer.items() if name != place[-1]}
    else:
        left = [each for number, each in enumerate(outer) if number != place[-1]]
    return changed(value, place[:-1], left)
