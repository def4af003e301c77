"""Every string in what the API takes has a bound that fits its use."""

from typing import Any

from pydantic import StringConstraints

from tests.services.api.taken import everything, leaves

ANCHORED = ("^", "$")


def bounded(limit: Any) -> bool:
    if getattr(limit, "max_length", None) is not None or any(map(bounded, getattr(limit, "metadata", ()))):
        return True
    pattern = getattr(limit, "pattern", None) or ""
    # A pattern counts as a bound where it repeats nothing without an end.
    return (
        pattern.startswith(ANCHORED[0]) and pattern.endswith(ANCHORED[1]) and "+" not in pattern and "*" not in pattern
    )


def test_every_string_of_a_request_has_a_bound() -> None:
    strings = [
        (where, limits)
        for where, its in everything()
        # What a path names is looked up and never kept; what the portal's forms send goes into these same models.
        if ".schemas." in where or (" /v1/" in where and " path " not in where)
        for leaf, limits in leaves(its)
        if leaf is str
    ]
    assert len(strings) > 50
    assert any(isinstance(limit, StringConstraints) for _, limits in strings for limit in limits)
    assert [where for where, limits in strings if not any(map(bounded, limits))] == []
