"""Leases that a process has without asking anybody: for what is read under them, without a Kafka."""

import itertools
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from rapport.contracts.cursors import partition_of_brand
from rapport.kit.broker.producer import Record, Tombstone
from services.ingest.leases.leases import Lease, Leases

_OFFSETS = itertools.count(1_000)


class Log:
    """A broker that takes everything. What comes later, also in another one, has a higher offset."""

    def __init__(self) -> None:
        self.records: list[Record | Tombstone] = []

    async def append(self, records: Sequence[Record | Tombstone]) -> list[int]:
        """Takes them, and says where each is."""
        self.records += records
        return [next(_OFFSETS) for _ in records]


class Held(Leases):
    """Those of one process, with its file. A lease that was not given is another process's."""

    def __init__(self, folder: Path) -> None:
        self.log = Log()
        super().__init__("nowhere", "test", self.log, folder, logging.getLogger("test"))  # type: ignore[arg-type]
        self.unsure = False
        """Whether it is not certain at the moment."""

    def give(self, brand: str) -> Lease:
        """The lease of a brand's accounts."""
        partition = partition_of_brand(brand)
        before = self._held.get(partition)
        if before is not None:
            before.ended = True
        lease = Lease(partition, (before.claim if before else 0) + 1, -math.inf)
        self._held[partition] = lease
        return lease

    def take(self, brand: str) -> None:
        """Another process has it now."""
        self._held.pop(partition_of_brand(brand)).ended = True

    async def close(self) -> None:
        """Closes its file."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def holds(self, lease: Lease) -> bool:
        """See Leases."""
        return not lease.ended and not self.unsure

    def knows(self, brand: str) -> bool:
        """See Leases."""
        return not self.unsure
