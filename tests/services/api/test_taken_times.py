"""Every time and every day that API and portal take lies in the years 1971 to 9998."""

from datetime import date, datetime
from typing import Annotated, Any

import pytest
from pydantic import AwareDatetime, TypeAdapter, ValidationError

from tests.services.api.taken import everything, leaves

TIMES = [
    (where, leaf, Annotated[(leaf, *limits)] if limits else leaf)
    for where, its in everything()
    for leaf, limits in leaves(its)
    if leaf is AwareDatetime or (isinstance(leaf, type) and issubclass(leaf, date))
]


def test_the_walk_finds_the_times_of_the_document() -> None:
    names = {where.rpartition(" ")[2].rpartition(".")[2] for where, _, _ in TIMES}
    assert {"day", "from_", "to", "planned_at", "starts_at", "ends_at", "connected_at", "expires_at"} <= names


@pytest.mark.parametrize(("where", "leaf", "its"), TIMES, ids=[where for where, _, _ in TIMES])
def test_a_time_outside_of_the_range_is_refused_wherever_one_is_taken(where: str, leaf: Any, its: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(its)
    zones = ("T00:00:00Z", "T00:00:00+01:00", "T23:59:59-01:00") if leaf in (datetime, AwareDatetime) else ("",)
    for zone in zones:
        assert adapter.validate_python(f"2027-01-01{zone}") is not None
        for day in ("0001-01-01", "1500-06-01", "1970-12-30", "9999-01-02", "9999-12-31"):
            with pytest.raises(ValidationError):
                adapter.validate_python(day + zone)
