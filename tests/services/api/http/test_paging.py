"""Pages of a list and the cursors between them."""

from datetime import UTC, datetime

import pytest

from services.api.http import paging
from services.api.http.problems import ProblemError

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def test_a_page_with_rows_left_over_has_a_cursor_after_its_last_row() -> None:
    rows = ["a", "b", "c"]
    assert len(rows) == paging.rows_to_read(2)
    shown, following = paging.page(rows, 2, lambda row: paging.cursor_after("letters", AT, row))
    assert shown == ["a", "b"]
    assert paging.position("letters", following) == (AT, "b")


@pytest.mark.parametrize("rows", [[], ["a"], ["a", "b"]])
def test_the_last_page_has_no_cursor(rows: list[str]) -> None:
    assert paging.page(rows, 2, str) == (rows, None)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(ProblemError):
        paging.position("numbers", paging.cursor_after("letters", AT, "a"))


@pytest.mark.parametrize("number", [10**400, 2**64, -(10**400)])
@pytest.mark.parametrize("wanted", [int, float])
def test_a_cursor_with_a_number_that_no_list_has_is_refused(number: int, wanted: type) -> None:
    with pytest.raises(ProblemError) as refused:
        paging.decode("alerts", paging.encode("alerts", number, "a"), (wanted, str))
    assert refused.value.errors[0].field == "cursor"
