"""A first day, the months after it, and what is taken back, shown again and answered then: in the log's own time."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from msgspec import structs

from rapport.contracts import codec
from rapport.contracts.controls import Heartbeat, ScoringSet
from rapport.contracts.events import CONVERSATIONAL, Interaction, Parent, Tick
from rapport.contracts.topics import CONVERSATIONS, ENGAGEMENTS, key_of, partition_of
from rapport.domain.relationships.relationship import DEFAULT
from rapport.kit.broker import kafka
from services.scorer.pruning import LOOK_EVERY, PASS_EVERY
from tests.services.scorer.story import DAY, HOUR, interaction

PARTITIONS = range(CONVERSATIONS.partitions)
OUR_TIME = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(10**12)}
"""Settings of a topic whose time a test sets: months of it take seconds."""
WHO = [f"f{number}" for number in range(24)]
LONG = 91 * DAY
LOOKS = 8
"""So many looks are more than a pass through the few rows that there are."""


class Teller:
    """Writes into the log at a time of its own choice (ms), as ingest and the ticks would."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = kafka.producer(bootstrap, "test")

    def some(self, events: Iterable[Interaction], at: int) -> None:
        """Interactions."""
        for event in events:
            topic = CONVERSATIONS if event.kind in CONVERSATIONAL else ENGAGEMENTS
            key = key_of(event.brand, event.platform, event.conversation if topic is CONVERSATIONS else event.actor.id)
            self._send(topic.name, event, "interaction", key, partition_of(key, topic.partitions), at)
        self._producer.flush()

    def passes(self, began: int, until: int) -> None:
        """Time passes for both agents, with whole passes through their rows."""
        for end in range(began + PASS_EVERY + DAY, until, 3 * PASS_EVERY):
            for look in range(LOOKS):
                self._everywhere(Tick(), Tick(), "tick", end + look * LOOK_EVERY)
        # Nobody waits for ticks. These change nothing, and are waited for.
        self._everywhere(Heartbeat(instance="ingest-1"), ScoringSet(scoring=DEFAULT), "control", until)
        self._producer.flush()

    def _everywhere(self, conversing: object, engaging: object, type: str, at: int) -> None:
        for number in PARTITIONS:
            self._send(CONVERSATIONS.name, conversing, type, b"everywhere", number, at)
            self._send(ENGAGEMENTS.name, engaging, type, b"everywhere", number, at)

    def _send(self, topic: str, event: object, type: str, key: bytes, number: int, at: int) -> None:
        headers = codec.headers(f"rapport.{type}.v1", id="1", source="/test")
        self._producer.send(topic, codec.encode(event), key=key, partition=number, headers=headers, timestamp_ms=at)

    def close(self) -> None:
        """Ends its use."""
        self._producer.close()


@contextmanager
def teller(bootstrap: str) -> Iterator[Teller]:
    """One that is closed after the block."""
    found = Teller(bootstrap)
    try:
        yield found
    finally:
        found.close()


def talk(kind: str, id: str, who: str, at: int, **more: object) -> Interaction:
    """An interaction in a conversation of the follower's own."""
    place = {"thread": f"post-{who}", "conversation": f"acme-1:{who}", "follower": who}
    return interaction(kind, f"{who}-{id}", at, **{**place, **more})  # type: ignore[arg-type]


def answer(id: str, who: str, at: int, to: str) -> Interaction:
    """A reply that names its parent alone, as on platforms that tell no author."""
    made = talk("reply", id, who, at, parent=f"{who}-{to}", thread=None)
    return structs.replace(made, parent=Parent(f"{who}-{to}"))


def first_day(at: int) -> list[Interaction]:
    """What each follower does, and the brand for them, on the first day."""
    found: list[Interaction] = []
    for who in WHO:
        found += [
            *(interaction(kind, f"{who}-{kind}", at, follower=who) for kind in ("follow", "share", "vote", "purchase")),
            interaction("reaction", f"{who}-reaction", at, follower=who, parent="post-1"),
            talk("comment", "answered", who, at),
            answer("answer", who, at + HOUR, "answered"),
            talk("hide", "hide", who, at + HOUR, of=f"{who}-answered"),
            talk("comment", "open", who, at, thread=f"other-{who}"),
            talk("message", "message", who, at, thread=f"chat-{who}"),
        ]
    return found


def taken_back(at: int) -> list[Interaction]:
    """All of it is taken back; what was hidden is shown, and what was open is answered."""
    found: list[Interaction] = []
    for who in WHO:
        its = [
            *(
                structs.replace(
                    interaction(kind, f"{who}-{kind}-back", at, of=f"{who}-{kind}", follower=who), undo=True
                )
                for kind in ("follow", "share", "vote", "purchase")
            ),
            structs.replace(
                interaction(
                    "reaction", f"{who}-reaction-back", at, of=f"{who}-reaction", follower=who, parent="post-1"
                ),
                undo=True,
            ),
            talk("unhide", "unhide", who, at, of=f"{who}-answered"),
            talk("delete", "delete", who, at + 1, of=f"{who}-answer"),
            answer("late", who, at, "open"),
            talk("reply", "chat", who, at, thread=f"chat-{who}"),
        ]
        found += [*its, *its]
    return found
