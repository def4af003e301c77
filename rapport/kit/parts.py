"""Long lists in parts."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in order, in lists of `size`; the last may be shorter, and none is empty."""
    left = iter(items)
    while part := list(islice(left, size)):
        yield part
