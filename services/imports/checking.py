"""Decides what of a file is imported, by the rules of the generic door. Pure."""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from rapport.contracts.events import Account, Interaction
from services.imports.entries import Entry, LeftOut, Source
from services.ingest import submission
from services.ingest.submission import NotJsonError, RejectedError

LATER = "written after the account was connected"
EARLIER = "written before --since"
TIMELESS = "does not say when it was written"
NOT_JSON = "not JSON"
NAMED_IN_A_REASON = 60
"""Characters of a field's name, which can be the file's own invention."""
DERIVED = "import:"
"""How ids begin that were derived from the content."""


class Checked(NamedTuple):
    """What is sent: the interaction, and the JSON that it was read from."""

    entry: Entry
    interaction: Interaction
    raw: bytes


class Checker:
    """Checks the entries of one file for one account. What did not occur from `since` until `before` is left out."""

    def __init__(
        self, source: Source, brand: str, account: Account, before: datetime, now: datetime,
        since: datetime | None = None,
    ) -> None:  # fmt: skip
        self._source = source
        self._brand = brand
        self._account = account
        self._before = before
        self._now = now
        self._since = since

    def check(self, entry: Entry) -> Checked | LeftOut:
        """What is sent of an entry, or why nothing is."""
        if entry.raw is None:
            return entry.left_out or LeftOut("empty", "there is nothing in it")
        try:
            interaction, raw = self._read(entry.raw)
        except NotJsonError as error:
            return LeftOut(NOT_JSON, str(error).replace("line 1 is", "it is", 1))
        except RejectedError as error:
            first = error.rejected[0]
            field = self._source.name_of_field(first.where)
            what = f"{field[:NAMED_IN_A_REASON]} is missing or wrong" if field else "not an interaction"
            return LeftOut(what, first.why)
        if interaction.occurred_at_source == "receipt" and interaction.occurred_at == self._now:
            return LeftOut(TIMELESS, "occurred_at is missing")
        if interaction.occurred_at >= self._before:
            at = interaction.occurred_at.isoformat(timespec="seconds")
            return LeftOut(LATER, f"{at} is not before {self._before.isoformat(timespec='seconds')}", wrong=False)
        if self._since is not None and interaction.occurred_at < self._since:
            at = interaction.occurred_at.isoformat(timespec="seconds")
            return LeftOut(EARLIER, f"{at} is before {self._since.isoformat(timespec='seconds')}", wrong=False)
        return Checked(entry, interaction, raw)

    def _read(self, raw: bytes) -> tuple[Interaction, bytes]:
        try:
            return self._one(raw), raw
        except RejectedError as error:
            named = with_id(raw) if error.rejected[0].where == "id" else None
            if named is None:
                raise
            return self._one(named), named

    def _one(self, raw: bytes) -> Interaction:
        [(interaction, _)] = submission.read(
            raw, lines=True, brand=self._brand, account=self._account, observed_at=self._now
        )
        return interaction


def with_id(raw: bytes) -> bytes | None:
    """An interaction without an id, with one derived from all its fields. None if it has one, or is no object.

    The order of the fields, and how the JSON is written, do not matter.
    """
    whole: Any = msgspec.json.decode(raw)
    if not isinstance(whole, dict) or "id" in whole:
        return None
    digest = hashlib.sha256(msgspec.json.encode(whole, order="sorted")).hexdigest()[:40]
    return msgspec.json.encode({"id": f"{DERIVED}{digest}", **whole})
