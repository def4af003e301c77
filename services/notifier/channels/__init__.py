"""The ways out: each module sends one delivery and says how it failed."""


class DeliveryError(Exception):
    """A delivery that did not arrive.

    `for_good` means that trying again cannot help. `retry_after` is how many seconds the receiver asked us to wait.
    """

    def __init__(self, why: str, *, for_good: bool = False, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.for_good = for_good
        self.retry_after = retry_after
