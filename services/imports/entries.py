"""What the readers of files give: one entry for each thing that a file holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

LONGEST = 1_000_000
"""Bytes of one interaction in a file; the door takes a body of 1 MiB."""


class UnreadableFileError(ValueError):
    """A file of which nothing can be read. The text says why."""


class LeftOut(NamedTuple):
    """Why something is not imported. `reason` is the same for all of its sort; `why` is about this one.

    `wrong` says that it should be corrected, as opposed to what an import never takes.
    """

    reason: str
    why: str
    wrong: bool = True


class Entry(NamedTuple):
    """One thing in a file: `raw` is the interaction as JSON, unless it is left out. `at` is where it stands.

    `done` is how far the file was read, in the unit of `Source.total`.
    """

    at: str
    done: int
    raw: bytes | None = None
    left_out: LeftOut | None = None
    written: str | None = None
    """Its time as the file has it, where that had to be interpreted."""


@dataclass(frozen=True)
class Source:
    """A file that can be read. `of` is whose export it is, where it says so; `notes` say how it is read."""

    format: str
    total: int
    entries: Callable[[], Iterator[Entry]]
    of: str | None = None
    notes: list[str] = field(default_factory=list)
    name_of_field: Callable[[str], str] = str
    """What a field of an interaction is called in the file."""
    what: str = "the file"
    """What it is, for people."""
