"""A lane without Kafka: one partition of one agent, replayed as `services.scorer.fenced` processes it."""

from collections.abc import Collection, Iterator, Sequence
from typing import cast

from rapport.contracts.codec import NewerError
from rapport.contracts.topics import EXCHANGES
from rapport.kit.broker.dead_letters import place_of
from services.scorer.fenced.agent import Handler, Record
from services.scorer.fenced.applying import Applied, apply
from services.scorer.fenced.batch import Batch
from services.scorer.fenced.state import Store
from services.verify.log import UnverifiableError
from services.verify.rows import Part


class Lane:
    """Gives what comes of records, step by step; whoever takes a step writes it before the next."""

    def __init__(self, part: Part, handler: Handler, clock: int, refused: Collection[str]) -> None:
        """`refused`: the records, as `named`, that the log itself refused."""
        self.part = part
        self.clock = clock
        self._handler = handler
        self._refused = refused
        handler.open(cast(Store, part))

    def steps(self, records: Sequence[Record]) -> Iterator[Applied]:
        """What comes of the records, in steps, each to be written before the next is asked for."""
        rest = records
        while rest:
            step = self._apply(rest)
            self.clock = step.clock
            yield step
            self._handler.committed()
            rest = rest[step.done :]
            if step.more:
                yield from self.due()

    def due(self) -> Iterator[Applied]:
        """Everything that is due at the clock."""
        more = True
        while more:
            batch = Batch(self.part)
            more = self._handler.sweep(self.clock, batch)
            yield Applied(batch, 0, more, self.clock, {})
            self._handler.committed()

    def _apply(self, records: Sequence[Record]) -> Applied:
        dead: dict[int, str] = {}
        if self._refused:
            refused = [number for number, record in enumerate(records) if named(record) in self._refused]
            dead = dict.fromkeys(refused, "the log refuses what this record would write")
        try:
            *_, applied = apply(records, self.clock, self._handler, self.part, dead=dead, name=named)
        except NewerError as error:
            # Only ever the first one: those in front of it go ahead.
            raise UnverifiableError(
                f"a later version wrote {named(records[0])}; verify with that version: {error.__cause__}"
            ) from error
        assert applied is not None, "applying ends with what was applied"
        return applied


def named(record: Record) -> str:
    """How a dead letter names the record it was."""
    if record.topic == EXCHANGES.name:
        return named_event(record)
    return place_of(record)


def named_event(record: Record) -> str:
    """An event of `exchanges`, which has no offset here: by its key and its id."""
    parts = record.key or b"", dict(record.headers).get("ce_id") or b""
    return ":".join([EXCHANGES.name, *(part.decode("utf-8", "replace") for part in parts)])
