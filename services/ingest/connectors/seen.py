"""What is noted of a record, and the ledger as it will be once that is saved."""

from dataclasses import dataclass
from typing import Protocol

from rapport.contracts.events import Kind


@dataclass(frozen=True)
class Seen:
    """What is noted of a record: enough to know what it was when only its address is named again.

    `uri` is its address on the platform, `rev` the version that was seen.
    """

    uri: str
    account: str
    kind: Kind
    conversation: str
    thread: str | None
    post: str | None
    follower: str
    parent: str | None
    rev: str
    hidden: str | None = None
    """Of what hides others: the addresses of those, separated by spaces."""


class Known(Protocol):
    """What was noted."""

    def find(self, uri: str) -> list[Seen]:
        """What was noted under an address, by account."""

    def known_to(self, follower: str) -> set[str]:
        """The accounts for which something by a person was noted."""


class UnsavedLedger:
    """The ledger as it will be: what it holds, and on top of that what was seen since and is not saved yet."""

    def __init__(self, ledger: Known) -> None:
        self._ledger = ledger
        self._noted: dict[str, dict[str, Seen]] = {}
        self.gone: set[str] = set()
        """Addresses whose records were deleted."""

    def find(self, uri: str) -> dict[str, Seen]:
        """What was noted under an address, by account."""
        return {record.account: record for record in self._ledger.find(uri)} | self._noted.get(uri, {})

    def every(self, uri: str) -> list[Seen]:
        """What was noted under an address, for whichever account."""
        return list(self.find(uri).values())

    def of(self, account: str, uri: str) -> Seen | None:
        """What was noted under an address for one account."""
        return self.find(uri).get(account)

    def known_to(self, follower: str) -> set[str]:
        """The accounts for which something by a person was noted."""
        unsaved = {record.account for record in self.noted() if record.follower == follower}
        return self._ledger.known_to(follower) | unsaved

    def note(self, seen: Seen) -> None:
        """Adds what is to be saved."""
        self.gone.discard(seen.uri)  # the same path can be written to again
        self._noted.setdefault(seen.uri, {})[seen.account] = seen

    def noted(self) -> list[Seen]:
        """All that is to be saved."""
        return [seen for by_account in self._noted.values() for seen in by_account.values()]
