"""Applies records to rows, in order. `rapport verify` uses the same function, so it comes to the same rows."""

from collections.abc import Callable, Container, Iterator, Sequence
from typing import NamedTuple

from rapport.contracts.codec import NewerError
from rapport.kit.broker.dead_letters import place_of
from services.scorer.fenced.agent import Handler, Record
from services.scorer.fenced.batch import Batch, Reader


class Applied(NamedTuple):
    """What comes of records that are written together."""

    batch: Batch
    done: int
    """How many records it is, from the first."""
    more: bool
    """Whether more is due after them than went along: it comes before the next record."""
    clock: int
    """The partition's, after them."""
    dead: dict[int, str]
    """Why, by the number of each of them that could not be processed."""


def apply(
    records: Sequence[Record],
    clock: int,
    handler: Handler,
    stored: Reader,
    *,
    dead: dict[int, str],
    put_aside: Container[str] = frozenset(),
    name: Callable[[Record], str] = place_of,
    bury: Callable[[Record, str, Batch], object] = lambda *_: None,
    failed: Callable[[Record], object] = lambda _: None,
) -> Iterator[Applied | None]:
    """Applies records, up to one after which more is due than goes along; `clock` (ms) is the partition's before them.

    Gives None before each record, so that others can have their turn, and what was applied at the end. A record that
    fails is `dead`, and those with it are applied afresh without it. `dead` is also given: records that cannot be
    processed whatever the handler says. `bury` is called in the place of a dead record, `failed` where one raises.

    Where only a later version can process a record, those in front of it go ahead; the record itself raises NewerError,
    with its `name`, unless it is `put_aside`.
    """
    some = list(records)
    while True:
        batch, now = Batch(stored), clock
        for number, record in enumerate(some):
            yield None
            now = max(now, record.timestamp)
            if number in dead:
                bury(record, dead[number], batch)
            else:
                batch.applies(record.headers)
                try:
                    handler.apply(record, now, batch)
                except NewerError as error:
                    if name(record) in put_aside:
                        dead[number] = f"put aside: {error}"
                    elif number:
                        del some[number:]  # those in front of it, afresh: this one may have changed rows already
                    else:
                        raise NewerError(f"{name(record)}: {error}") from error
                    break
                except Exception as error:
                    failed(record)
                    dead[number] = f"{type(error).__name__}: {error}"
                    break
            batch.applied()
            if handler.sweep(now, batch):
                yield _applied(batch, number + 1, True, now, dead)
                return
        else:
            yield _applied(batch, len(some), False, now, dead)
            return
        handler.rolled_back()


def _applied(batch: Batch, done: int, more: bool, clock: int, dead: dict[int, str]) -> Applied:
    return Applied(batch, done, more, clock, {number: why for number, why in dead.items() if number < done})
