"""The channels: each module sends one delivery, or says why it failed."""

from rapport.kit.text import one_line

LONGEST_REASON = 300
"""Receivers and mail servers can answer anything."""


class DeliveryError(Exception):
    """A delivery that did not arrive.

    `why` is shown to the brand, so it must say nothing about the installation's own network; it is cleaned and cut.
    `for_good` means that trying again cannot help. `retry_after` is how many seconds the receiver asked us to wait.
    """

    def __init__(self, why: str, *, for_good: bool = False, retry_after: float | None = None) -> None:
        super().__init__(one_line(why, LONGEST_REASON))
        self.for_good = for_good
        self.retry_after = retry_after
