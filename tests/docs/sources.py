"""What code says to people: its strings, its docstrings, and its templates."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs.blocks import ROOT

FOLDERS = ("rapport", "services", "deploy", "bench")
FILLED_IN = "X"
"""Stands in a string for what is filled in."""


@cache
def said() -> frozenset[str]:
    """Each string of the product."""
    return frozenset(string for path in modules() for string in strings(path))


def modules() -> list[Path]:
    """Every Python file of the product, in order."""
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def strings(path: Path) -> tuple[str, ...]:
    """Each string of a module, whole however many lines it is written on, with `FILLED_IN` where something is."""
    return tuple(_strings(path))


def _strings(path: Path) -> Iterator[str]:
    inside: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            parts = (part.value if isinstance(part, ast.Constant) else FILLED_IN for part in node.values)
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def templates() -> list[Path]:
    """The portal's templates."""
    return sorted((ROOT / "services").rglob("*.html"))
