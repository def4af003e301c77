"""Both agents of one partition through months, with and without what leaves their rows meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import msgspec

from rapport.contracts.controls import FollowerAway
from rapport.contracts.events import CONVERSATIONAL, Interaction
from rapport.contracts.rows import FOLLOWER, FollowerRow, parts_of, row_key
from services.scorer.fenced.batch import Batch
from services.scorer.pruning import LOOK_EVERY, Pruner
from services.scorer.relationships.handler import RelationshipsHandler
from tests.services.scorer.story import DAY, Dialogue, FakeRecord

LONG = 91 * DAY
PASSES = 4
LOOKS = 5
"""So many looks are a whole pass at least: each looks at a part of one kind of row."""


@contextmanager
def nothing_leaves() -> Iterator[None]:
    """No row is ever dropped for its age."""
    with patch.object(Pruner, "prune", lambda *_: None):
        yield


@dataclass
class Ages(Dialogue):
    """A partition of each agent. Both have their ticks, so that both look for rows that may go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.relationships.open(self.people)  # type: ignore[arg-type]

    def reopen(self) -> None:
        super().reopen()
        self.relationships = RelationshipsHandler()
        self.relationships.open(self.people)  # type: ignore[arg-type]

    def happen(self, event: Interaction | FollowerAway, at: int) -> None:
        """One record, in the topic that it belongs to."""
        if isinstance(event, Interaction) and event.kind in CONVERSATIONAL:
            self.tell(event, at)
        else:
            self.engage(event, at)

    def _answer(self, heard: FakeRecord, at: int) -> None:
        self.clock = max(self.clock, at)
        super()._answer(heard, at)
        self._look()

    def _look(self) -> None:
        batch = Batch(self.people)
        self.relationships.sweep(self.clock, batch)
        self.people.take(batch)
        self.relationships.committed()

    def wait(self, until: int) -> None:
        """Time passes, with whole passes through the rows in between and at its end."""
        began = self.clock
        self.tick(min(began + DAY, until))  # what is due within a day is over a day later
        for part in range(1, PASSES + 1):
            end = began + (until - began) * part // PASSES
            for look in range(LOOKS, -1, -1):
                self.tick(max(self.clock, end - look * LOOK_EVERY))
                self._look()

    def row(self, name: str = "ada") -> FollowerRow:
        """A relationship."""
        return msgspec.json.decode(self.people[row_key(FOLLOWER, "acme", "generic", name)], type=FollowerRow)

    def counts(self, name: str = "ada") -> dict[str, int]:
        """How many interactions of each kind a relationship counts."""
        return self.row(name).counts

    def kept(self, kind: str) -> int:
        """How many rows of a kind there are."""
        return sum(parts_of(key)[0] == kind for rows in (self.rows, self.people) for key in rows)
