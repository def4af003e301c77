"""What was lately taken of what has no time of its own, so that the same, sent again, does not seem to be newer."""

from collections.abc import Iterable

from rapport.contracts.events import Interaction

MOST = 100_000
"""Interactions that are remembered: some hours of a busy installation, and ten megabytes."""


class Recent:
    """The scorer takes the newest of several facts about a thing, by time. What a platform gives no time counts from
    when it came, so a repetition that came after its opposite would win: an unfollowed follower would follow again.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: dict[tuple[str, str, str], None] = {}

    def fresh(self, interactions: Iterable[Interaction]) -> list[Interaction]:
        """Without those that have no time of their own and were taken before."""
        return [each for each in interactions if _key(each) not in self._seen]

    def keep(self, interactions: Iterable[Interaction]) -> None:
        """Remembers them, once they are in the log. The oldest are forgotten."""
        for each in interactions:
            if each.occurred_at_source == "receipt":
                self._seen[_key(each)] = None
        while len(self._seen) > self._most:
            del self._seen[next(iter(self._seen))]


def _key(interaction: Interaction) -> tuple[str, str, str]:
    return interaction.brand, interaction.account, interaction.id
