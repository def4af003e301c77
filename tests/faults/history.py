"""What happens to a brand on some days, made from a seed: everything that the scorer takes, in a shuffled order."""

import random
from collections.abc import Callable
from typing import Any

from msgspec import structs

from rapport.contracts.controls import PolicyRule
from rapport.contracts.events import Interaction
from tests.faults.broker import OwnBroker
from tests.services.scorer.story import HOUR, day, interaction
from tests.services.scorer.worker import broker_now, send_policy


def history(seed: int, many: int, now: int) -> list[Interaction]:
    """`day`, and among it what `day` lacks: messages, hiding, blocks, purchases, and what is taken back."""
    dice = random.Random(f"history {seed}")
    found = list(enumerate(day(seed, many, now)))
    made = [_Rarer(seed, number, now, dice).one() for number in range(many // 6)]
    for some in made:
        # Parts of one story stay near each other, but not in their order.
        place = dice.randrange(len(found) + 1)
        found += [(place + dice.randrange(40), each) for each in some]
    return [each for _, each in sorted(found, key=lambda each: each[0])]


def begin(broker: OwnBroker, **rule: Any) -> int:
    """Gives brand `acme` a policy, by default three hours for an answer, and gives the broker's now (ms)."""
    now = broker_now(broker.running)
    send_policy(broker.running, PolicyRule(**{"target_seconds": 3 * 3600, **rule}), now - 24 * HOUR)
    return now


class _Rarer:
    """A story of two to four interactions with one follower."""

    def __init__(self, seed: int, number: int, now: int, dice: random.Random) -> None:
        self._dice = dice
        self._name = f"r{seed}-{number}"
        self._follower = f"f{dice.randrange(40)}"
        self._at = now - 5 * HOUR + dice.randrange(4 * HOUR)

    def one(self) -> list[Interaction]:
        kinds: list[Callable[[], list[Interaction]]] = [
            self._messages, self._hidden, self._blocked, self._bought, self._taken_back, self._edited,
        ]  # fmt: skip
        return self._dice.choice(kinds)()

    def _make(self, kind: str, suffix: str, after: int = 0, **more: Any) -> Interaction:
        more.setdefault("thread", f"post-{self._name}")
        more.setdefault("conversation", more["thread"])
        return interaction(
            kind,  # type: ignore[arg-type]
            f"{self._name}-{suffix}",
            self._at + after,
            follower=self._follower,
            **more,
        )

    def _messages(self) -> list[Interaction]:
        thread = f"messages:{self._name}"
        return [
            self._make("message", "a", thread=thread, text="Are you open on Sunday?"),
            self._make("message", "b", 60_000, thread=thread, text="Hello?"),
            self._make("reply", "c", self._dice.randrange(4 * HOUR), thread=thread),
        ]

    def _hidden(self) -> list[Interaction]:
        of = f"{self._name}-a"
        return [
            self._make("comment", "a", text="Buy my pills"),
            self._make("hide", "b", self._dice.randrange(HOUR), of=of),
            self._make("unhide", "c", self._dice.randrange(HOUR), of=of),
        ]

    def _blocked(self) -> list[Interaction]:
        block = self._make("block", "b", HOUR)
        lifted = self._make("block", "c", 2 * HOUR, of=block.object.id, undo=True)
        return [self._make("mention", "a", text="You are all wrong"), block, lifted][: self._dice.choice((2, 3))]

    def _bought(self) -> list[Interaction]:
        return [self._make("purchase", "a", amount="12.50", currency="EUR"), self._make("entry", "b", campaign="may")]

    def _taken_back(self) -> list[Interaction]:
        liked = self._make("reaction", "a", reaction="like")
        return [liked, structs.replace(self._make("reaction", "b", 1_000, of=liked.object.id), undo=True)]

    def _edited(self) -> list[Interaction]:
        return [
            self._make("comment", "a", text="How mich is it?"),
            self._make("edit", "b", 5_000, of=f"{self._name}-a", text="How much is it?"),
        ]
