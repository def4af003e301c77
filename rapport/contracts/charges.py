"""What a platform charges money for, as the log has it.

How much it is stands nowhere in the log: prices change, and what was counted does not (`rapport.domain.charges`).
"""

from msgspec import Struct

from rapport.contracts.events import Text, UtcTime


class Charge(Struct, omit_defaults=True, frozen=True, kw_only=True):
    """One thing that a platform charges for, such as an event that it delivered.

    The same `id` is the same thing, charged once. The month of `at` is the one that it counts in.
    """

    id: Text
    platform: Text
    what: Text
    """In the platform's own words, such as `post.mention.create`."""
    at: UtcTime
    """When it was received."""
    brand: Text | None = None
    """None where it is about an account that nobody connected: that costs as much."""
    account: Text | None = None
