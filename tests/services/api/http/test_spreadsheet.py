"""Cells of exports: no spreadsheet computes what people wrote."""

import ast
import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.kit.text import plain, written
from services.api.http.files.spreadsheet import cell, lines, unguarded

SIGNS = "=+-@|%＝＋－＠％｜﹢﹣﹦﹫⁺⁻⁼−–"
BEFORE = [
    *("", " ", "\u00a0", "\u3000", "\t", "\r", "\n", "\r\n", "\u2028", "\x0b", "\x0c", "\x85"),
    *("\u200b", "\ufeff", "\u200d", " \u2060 ", "\x00", "\u202e"),
]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", BEFORE)
def test_a_formula_is_text_whatever_stands_before_it(sign: str, before: str) -> None:
    guarded = cell(f"{before}{sign}HYPERLINK(1)")
    assert guarded.startswith("'")
    assert unguarded(guarded) == plain(f"{before}{sign}HYPERLINK(1)")


@pytest.mark.parametrize("text", ["\tx", "\rx", "\nx"])
def test_a_cell_that_begins_with_a_tab_or_a_line_break_is_guarded(text: str) -> None:
    assert cell(text).startswith("'")


@pytest.mark.parametrize("text", ["Ada", "a=b", "Müller & Söhne", "🙂", "5 % off", "", "“quoted”"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            ";=cmd|'/C calc'!A0;",
            "a;=1+1;b",
            'a;"=1+1;',
            "a\t=1+1\tb",
            "a\n=1+1\nb",
            "a\r\n\r\n @SUM(1)",
            "a;\u200f=1+1",
        ),
        *(";;=1", "a;'=1", "\n'", "'\t=1", ";\t=1", "- one\n- two"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ours", [True, False])
def test_whatever_separates_cells_for_a_reader_none_of_them_is_a_formula(text: str, separator: str, ours: bool) -> None:
    """Excel splits a file at the separator of its country, which can be a semicolon."""
    file = lines([["first", text, "end"]], ours=ours)
    for row in csv.reader(io.StringIO(file, newline=""), delimiter=separator):
        assert [shown for shown in row if plain(shown).lstrip('"\u200f ').startswith(tuple(SIGNS))] == []
    (read,) = csv.reader(io.StringIO(file, newline=""))
    assert unguarded(read[1]) == (written(text) if ours else plain(text))


def test_numbers_and_times_are_no_formulas() -> None:
    assert [cell(value) for value in (-5, 1.5, None, datetime(2026, 1, 2, tzinfo=UTC))] == [
        "-5",
        "1.5",
        "",
        "2026-01-02T00:00:00+00:00",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_exported_is_read_back_clean(text: str) -> None:
    (row,) = csv.reader(io.StringIO(lines([[text, "end"]]), newline=""))
    assert [unguarded(row[0]), row[1]] == [plain(text), "end"]


@pytest.mark.parametrize("text", ["'=1+1", "''=1", "'", "''", "'a", "'-x", "' =1"])
def test_an_apostrophe_that_somebody_wrote_is_not_taken_for_ours(text: str) -> None:
    assert unguarded(cell(text)) == text


def test_every_csv_is_written_here() -> None:
    root = Path(__file__).parents[4]
    writers = set()
    for folder in ("services", "rapport"):
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter"):
                    writers.add(str(path.relative_to(root)))
    assert writers == {"services/api/http/files/spreadsheet.py"}
