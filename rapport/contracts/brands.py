"""What the brands' topic says: the newest record of each brand.

Several API processes may write a brand at the same time, and then the older record can come last. So each record has
the revision of the brand that it was made from, and a lower one than the last is passed over.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from rapport.contracts import codec
from rapport.contracts.events import Brand
from rapport.contracts.topics import key_of

log = logging.getLogger("rapport.brands")


class Brands:
    """Every brand as it is now. One thread takes records in; any thread may look a brand up."""

    def __init__(self) -> None:
        self._brands: dict[bytes, Brand] = {}
        self._revisions: dict[bytes, int] = {}

    def get(self, id: str) -> Brand | None:
        """A brand by its id."""
        return self._brands.get(key_of(id))

    def __iter__(self) -> Iterator[Brand]:
        return iter(list(self._brands.values()))

    def __len__(self) -> int:
        return len(self._brands)

    def take(self, record: Any) -> None:
        """Takes a record of the topic in.

        One that cannot be read changes nothing: one bad record must not close a brand's door, nor silence its alerts.
        """
        key = record.key or b""
        if record.value is None:
            self._brands.pop(key, None)
            self._revisions.pop(key, None)
            return
        try:
            brand = codec.decode(codec.type_of(record.headers), record.value)
            if not isinstance(brand, Brand):
                raise codec.UndecodableError(f"a {type(brand).__name__}, where only brands belong")
        except codec.UndecodableError as error:
            log.error("%s offset %d is skipped: %s", record.topic, record.offset, error)
            return
        revision, known = revision_of(brand, record.headers), self._revisions.get(key, 0)
        if revision is not None and revision < known:
            log.warning(
                "%s offset %d is passed over: it is revision %d of brand %s, and %d was read before",
                record.topic, record.offset, revision, brand.id, known,
            )  # fmt: skip
            return
        self._brands[key] = brand
        self._revisions[key] = known if revision is None else revision


def revision_of(brand: Brand, headers: Iterable[tuple[str, bytes | None]]) -> int | None:
    """The revision that a brand's record was made from; None where it does not say.

    Records from before it was a field have it at the end of their `ce_id`.
    """
    if brand.revision:
        return brand.revision
    event = next((value for name, value in headers if name == "ce_id" and value), b"")
    _, slash, revision = event.decode("utf-8", "replace").rpartition("/")
    return int(revision) if slash and revision.isascii() and revision.isdecimal() and len(revision) < 19 else None
