"""Figures in words."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import services
from rapport.domain.figures import counted, noun, percent, whole_percent
from services.api.web import wording


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (58, 100, 58), (29, 100, 29), (57, 100, 57), (579, 1000, 58), (996, 1000, 99), (999, 1000, 99), (1, 1000, 1),
        (0, 7, 0), (7, 7, 100), (1, 8, 13), (57, 200, 29), (1, 3, 33), (2, 3, 67), (11, 10, 100), (-1, 10, 0),
        (1, 200, 1), (3, 200, 2), (199, 200, 99),
    ],
)  # fmt: skip
def test_a_share_is_rounded_and_only_all_is_100_and_only_none_is_0(part: int, whole: int, shown: int) -> None:
    assert whole_percent(part / whole) == shown
    assert percent(part / whole) == wording.percent(part / whole) == f"{shown} %"
    assert percent(None) == "–"


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_a_percentage_is_off_by_a_half_at_most_but_at_the_ends(part: int, whole: int) -> None:
    part = min(part, whole)
    shown = whole_percent(part / whole)
    assert (shown == 100) == (part == whole)
    assert (shown == 0) == (part == 0)
    assert abs(shown - 100 * part / whole) <= (0.5 + 1e-9 if 1 < shown < 99 else 1)


def test_one_is_one_and_everything_else_is_many() -> None:
    assert [counted(count, "answer") for count in (0, 1, 2)] == ["0 answers", "1 answer", "2 answers"]
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(1_234_826, "person", "people") == "1,234,826 people"
    assert noun(0, "person answered", "people answered") == "people answered"


def test_no_other_place_makes_percentages_or_plurals() -> None:
    """Bars may be as exact as they like; what is read comes from the functions."""
    own = re.compile(r"\* ?100\)? ?\|| ?\"%\.0f\" \| format\([^)]*100|\"s\" if|'s' if|int\([a-z_.]+ \* 100\)|:\.0%\}")
    for path in Path(services.__path__[0]).rglob("*"):
        # The script that checks a draw has to run where nothing of ours is.
        if path.suffix not in (".py", ".html", ".js") or path.name == "verify_draw.py" or "vendor" in path.parts:
            continue
        for line in path.read_text().splitlines():
            found = own.search(re.sub(r"(width|x1|x2|x)=\"[^\"]*%\"|width=\"\{\{.*?\}\}%\"", "", line))
            assert found is None, f"{path.name}: {found[0]} in {line.strip()[:200]}"
