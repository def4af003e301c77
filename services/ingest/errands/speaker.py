"""What a platform's package does to carry out an errand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from rapport.contracts.errands import LONGEST_ID, LONGEST_URL, Errand
from rapport.contracts.events import Account
from rapport.kit.text import web_address
from services.ingest.errands.words import UNTOLD
from services.ingest.polling.api import RefusedError


@dataclass(frozen=True)
class Done:
    """What came of it: the platform's id of the answer and its address, as far as the platform says."""

    id: str | None = None
    url: str | None = None

    def bounded(self) -> "Done":
        """The same, without an id or an address that is too long, and without addresses that are not of the web."""
        url = self.url if self.url and len(self.url) <= LONGEST_URL else None
        return Done(self.id if self.id and len(self.id) <= LONGEST_ID else None, web_address(url))


class UntoldError(RefusedError):
    """The platform does not tell whether an errand was carried out. It must not be carried out again."""

    def __init__(self) -> None:
        super().__init__(UNTOLD)


class Speaker(Protocol):
    """Speaks for one account. Both raise AttentionError, LimitedError, AwayError and RefusedError."""

    async def find(self, errand: Errand) -> Done | None:
        """The answer of an errand that may have been carried out before; None if it is surely not there.

        Raises UntoldError where that cannot be told. Only answers are looked for: to like or to hide twice is the same
        as once.
        """

    async def do(self, errand: Errand) -> Done:
        """Carries it out. After AwayError it may have been carried out; after the others it was not."""


MakeSpeaker: TypeAlias = Callable[[Account], Speaker | None]
"""Gives what speaks for an account; None if its connection lacks what is needed."""
