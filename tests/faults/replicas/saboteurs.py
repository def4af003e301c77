"""What breaks the version under test on purpose, so that the tests of replicas can be seen to fail."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rapport.contracts import codec
from services.notifier import claims
from services.partitions import change


def claims_hold_nobody_off() -> None:
    """What a notifier sends may be claimed by others meanwhile."""
    real: Callable[..., Any] = claims.claim

    async def claim(rows: Any, channel_type: str, now: Any, lease: Any, busy: Any) -> Any:
        return await real(rows, channel_type, now, timedelta(0), busy)

    vars(claims)["claim"] = claim


def brands_of_a_new_type() -> None:
    """Brands are written as a type that the version before does not know."""
    real = codec.headers

    def headers(type: str, **more: Any) -> codec.Headers:
        return real("rapport.brand.v2" if type == "rapport.brand.v1" else type, **more)

    vars(codec)["headers"] = headers


def rows_stay() -> None:
    """Partitions are added, and no row moves to them."""
    vars(change)["homes"] = lambda _key, _value, partition, *_: (partition,)
