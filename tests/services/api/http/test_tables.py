"""Files of tables as spreadsheets write them, and the times in them."""

import contextlib
import io
from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.calendar import times as plan_times
from services.api.calendar.times import Order
from services.api.http.files import tables
from services.api.http.files.sizes import LARGEST_FILE
from services.api.http.files.tables import Row, Table, open_large, read
from services.api.http.problems import ProblemError

COLUMNS = ("id", "at", "text")
ROWS = [Row(2, {"id": "a1", "at": "x", "text": "grün; teuer, „gut“\nzweite Zeile"}), Row(4, {"at": "y"})]
BERLIN = ZoneInfo("Europe/Berlin")


def table(raw: str | bytes, needed: tuple[str, ...] = ("at",)) -> Table:
    return read(raw if isinstance(raw, bytes) else raw.encode(), COLUMNS, needed, 5)


def refused(raw: str | bytes) -> str:
    with pytest.raises(ProblemError) as found:
        table(raw)
    [problem] = found.value.errors
    return problem.why


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("before", ["", "sep={}\n"])
def test_every_spreadsheets_habits_are_read(separator: str, encoding: str, end: str, before: str) -> None:
    cell = '"grün; teuer, „gut“\nzweite Zeile"'
    lines = [separator.join(("ID", " at", "Text ", "")), separator.join(("a1", "x", cell, "")), f"{separator}y"]
    raw = (before.format(separator) + end.join([*lines, "", separator * 2, ""])).encode(encoding)
    found = table(raw)
    skipped = 1 if before else 0
    assert found.rows == [row._replace(line=row.line + skipped) for row in ROWS]
    assert found.separator == {",": "comma", ";": "semicolon", "\t": "tab"}[separator]
    assert found.encoding == {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16"}.get(encoding, "Windows-1252")


@pytest.mark.parametrize("begin", [b"PK\x03\x04", b"PK\x03\x04\x14\x00\x00\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_workbook_is_refused_with_what_to_do(begin: bytes) -> None:
    assert "save it there as CSV" in refused(begin)
    with pytest.raises(ProblemError) as found:
        open_large(io.BytesIO(begin), COLUMNS, ())
    assert found.value.errors[0].why == refused(begin)


@pytest.mark.parametrize("written", ["2027-01-01T00:00:00+24:00", "2027-13-01T00:00:00Z", "2027-01-01T24:00:01Z"])
def test_a_time_that_there_is_not_is_refused_in_words(written: str) -> None:
    with pytest.raises(ValueError, match=r"^there is no such day or time$"):
        plan_times.read(written, BERLIN, None)


def test_a_row_has_the_line_that_it_begins_on() -> None:
    rows = table('at,text\n1,"a\nb\nc"\n\n2,x\n3,"y"z\n4,never read\n').rows
    assert [(row.line, bool(row.broken)) for row in rows] == [(2, False), (6, False), (7, True)]
    assert "has to be followed by a separator" in str(rows[2].broken)
    rows = table('at;text\n1;x\n2;"never closed\n3;y\n').rows
    assert [(row.line, row.broken) for row in rows][1:] == [
        (3, "from here on this is not CSV: a quotation mark is opened here and never closed")
    ]


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ('"', "line 1: a quotation mark is opened here and never closed"),
        ("", "it is empty"),
        ("\ufeff", "it is empty"),
        ("sep=;\n", "it is empty"),
        ("at,text,text\n1,a,b", "line 1 has the column text twice"),
        ("at,text,TEXT\n1,a,b", "line 1 has the column text twice"),
        ("at,txt\n1,a", "line 1: unknown column txt; did you mean text?"),
        ("text\nx", "line 1 has to name the columns id, at, text; missing: at"),
        ("at\n1\n2\n3\n4\n5\n6\n", "it has more than 5 rows; send it in parts"),
        (b"at\n\x81\x8d", "it is not text: from byte 3 on it is neither UTF-8 nor Windows-1252"),
        (b"\xff\xfea", "it is not text: from byte 2 on it is neither UTF-16 nor Windows-1252"),
        (b"at\n" + b"x" * LARGEST_FILE, "it has more than 1,048,576 bytes; send it in parts"),
    ],
)
def test_what_is_no_such_table_is_refused_in_words(raw: str | bytes, why: str) -> None:
    assert refused(raw) == why


def test_more_cells_than_names_are_told() -> None:
    assert table("at,text\n1,a,b").rows[0].broken == "it has more cells than the first line"


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_whatever_is_sent_is_read_or_refused(raw: str | bytes) -> None:
    with contextlib.suppress(ProblemError):
        table(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass"), ())


@given(st.text(alphabet='atex,;\t"\n\r ', max_size=40))
def test_whatever_is_quoted_is_read_or_refused(raw: str) -> None:
    with contextlib.suppress(ProblemError):
        table("at,text\n" + raw)


NEW_YEARS_EVE = datetime(2026, 12, 31, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-12-31T09:00:00+01:00",
        "2026-12-31T08:00Z",
        "2026-12-31 09:00",
        "2026-12-31T09:00:00",
        "31.12.2026 09:00",
        "31.12.2026, 9:00 Uhr",
        "31.12.2026 09:00:00",
        "12/31/2026 9:00 AM",
        "12/31/2026, 09:00",
        "31/12/2026 09:00",
        " 12/31/2026 9:00 a.m. ",
    ],
)
def test_times_of_several_countries_are_local_ones(written: str) -> None:
    assert plan_times.read(written, BERLIN, plan_times.order_of([written])) == NEW_YEARS_EVE


@pytest.mark.parametrize(
    ("written", "why"),
    [
        *((each, "a time is needed") for each in ("202612010900", "1765000000", "2026-12-31", "31.12.26 09:00", "")),
        *((each, "no such day") for each in ("31.02.2026 09:00", "13/31/2026 09:00", "2026-12-31 24:00")),
        ("12/31/2026 13:00 PM", "13 o'clock"),
        ("28.03.2027 02:30", "there is no such time"),
        ("31.10.2027 02:30", "comes twice"),
        ("03/04/2027 09:00", "say which in this file"),
        ("1500-01-01 09:00", "a year from 1971 to 9998"),
        ("9999-12-31T23:59:59-01:00", "a year from 1971 to 9998"),
    ],
)  # fmt: skip
def test_other_times_are_refused_in_words(written: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        plan_times.read(written, BERLIN, plan_times.order_of([written]))


@pytest.mark.parametrize(
    ("written", "order"),
    [
        (["03/04/2027 09:00", "12/31/2026 09:00"], "month-first"),
        (["03/04/2027 09:00", "31/12/2026 09:00"], "day-first"),
        (["03/04/2027 09:00"], None),
        (["12/31/2026 09:00", "31/12/2026 09:00"], None),
        (["13/13/2026 09:00", "31.12.2026 09:00"], "day-first"),
    ],
)
def test_one_date_of_a_file_can_show_which_way_round_they_are(written: list[str], order: Order | None) -> None:
    assert plan_times.order_of(written) == order


@given(st.text(alphabet="0123456789/.-: TZAPMapmUhr+", max_size=24))
def test_whatever_time_is_written_it_is_read_or_refused(written: str) -> None:
    for order in get_args(Order):
        with contextlib.suppress(ValueError):
            assert 1970 < plan_times.read(written, BERLIN, order).year < 9999


def rows_of(raw: str | bytes) -> list[Row]:
    file = io.BytesIO(raw if isinstance(raw, bytes) else raw.encode())
    return list(open_large(file, COLUMNS, ("at",)).rows())


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("before", ["", "sep={}\r\n"])
def test_a_file_that_is_too_large_for_memory_is_read_as_any_other(separator: str, encoding: str, before: str) -> None:
    cell = '"grün; teuer, „gut“\nzweite Zeile"'
    lines = [separator.join(("ID", " at", "Text ", "")), separator.join(("a1", "x", cell, "")), f"{separator}y", ""]
    raw = (before.format(separator) + "\n".join(lines)).encode(encoding)
    large, small = open_large(io.BytesIO(raw), COLUMNS, ("at",)), table(raw)
    assert list(large.rows()) == list(large.rows()) == small.rows
    assert (large.separator, large.encoding) == (small.separator, small.encoding)


def test_after_a_broken_row_a_large_file_is_read_on_with_the_next_line() -> None:
    found = rows_of('at,text\n1,"a"b\n2,x\n3,"never\nclosed\n4,y\n')
    assert [(row.line, bool(row.broken), row.cells.get("at")) for row in found] == [
        (2, True, None), (3, False, "2"), (4, True, None), (5, False, "closed"), (6, False, "4"),
    ]  # fmt: skip


def test_a_row_that_swallows_the_file_costs_no_more_memory_than_a_row_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "LONGEST_LINE", 100)
    monkeypatch.setattr(tables, "LONGEST_ROW", 300)
    found = rows_of("at,text\n" + '1,"' + "\n".join("x" * 50 for _ in range(50)) + "\n2,y\n3," + "z" * 250 + "\n4,y\n")
    assert "more than 300 characters" in str(found[0].broken)
    assert "more than 100 characters" in str(found[-2].broken)
    assert [row.cells.get("at") for row in found if row.cells.get("text") == "y"] == ["2", "4"]
    assert [row.line for row in found] == list(range(2, 55))


def test_a_file_of_nothing_but_broken_rows_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_RESUMED", 3)
    found = rows_of("at,text\n" + '1,"a"b\n' * 10)
    assert len(found) == 4
    assert str(found[-1].broken).startswith("from here on")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"at\n\x81\x8d", "it is not text"),
        (b"\xff\xfea", "it is not text"),
        (b"\\ufeff", "unknown column"),
        ("\ufeff".encode(), "it is empty"),
        (b"x" * 300_000, "line 1 has more than 262,144 characters"),
        (b"sep=;\n", "it is empty"),
    ],
)
def test_a_large_file_of_something_else_is_refused_in_words(raw: bytes, why: str) -> None:
    with pytest.raises(ProblemError, match=why):
        rows_of(raw)


@given(st.text(alphabet='atex,;\t"\n\r ', max_size=40))
def test_whatever_is_sane_is_read_from_a_large_file_as_from_a_small_one(raw: str) -> None:
    small = table("at,text\n" + raw, ()).rows if raw.count("\n") + raw.count("\r") < 4 else []
    large = rows_of("at,text\n" + raw)
    if small and not any(row.broken for row in small):
        assert large == small
