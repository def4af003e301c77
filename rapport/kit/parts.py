"""Splits long lists."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")


def parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in order, in lists of `size`; the last may be shorter, and none is empty."""
    left = iter(items)
    while part := list(islice(left, size)):
        yield part


def halves(
    things: Sequence[T],
    work: Callable[[Sequence[T]], Any],
    failed: Callable[[T, Exception], Any],
    fatal: tuple[type[Exception], ...] = (),
) -> None:
    """Does `work` on all items at once. If that fails, on each half, down to the single items, which go to `failed`.

    So one bad thing costs a few repetitions, and the others nothing. Raises what is `fatal`.
    """
    if not things:
        return
    try:
        work(things)
    except fatal:
        raise
    except Exception as error:
        if len(things) == 1:
            failed(things[0], error)
            return
        middle = len(things) // 2
        halves(things[:middle], work, failed, fatal)
        halves(things[middle:], work, failed, fatal)
