"""Where the next page of a list begins, and what may be asked about next."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.hooks.delivery import MOST_CHANGES, UnreadableError
from services.ingest.hooks.meta_pages import LONGEST_CURSOR, LONGEST_ID, Page, Paging, next_page, page, path_id

NEXT = "https://graph.example/v24.0/1/feed?fields=id&limit=25"


@pytest.mark.parametrize(
    ("paging", "asked"),
    [
        ({}, {}),
        ({"cursors": {"before": "a", "after": "b"}}, {}),
        ({"cursors": {"before": "a", "after": "b"}, "next": NEXT}, {"after": "b"}),
        ({"next": f"{NEXT}&until=1795953000&__paging_token=x&access_token=secret"},
         {"until": "1795953000", "__paging_token": "x"}),
        ({"next": f"{NEXT}&access_token=secret"}, {}),
        ({"next": "http://[?after=1"}, {}),
        ({"cursors": {"after": "x" * LONGEST_CURSOR}, "next": NEXT}, {"after": "x" * LONGEST_CURSOR}),
    ],
)  # fmt: skip
def test_the_next_page_is_where_the_platform_says(paging: object, asked: Mapping[str, str]) -> None:
    assert next_page(msgspec.convert(paging, Paging)) == asked


@pytest.mark.parametrize(
    "paging",
    [
        {"cursors": {"after": "x" * (LONGEST_CURSOR + 1)}, "next": NEXT},
        {"next": f"{NEXT}&until={'1' * (LONGEST_CURSOR + 1)}"},
    ],
)
def test_a_list_does_not_end_where_the_next_page_cannot_be_asked_for(paging: object) -> None:
    with pytest.raises(UnreadableError, match="2049 characters"):
        next_page(msgspec.convert(paging, Paging))


@settings(deadline=None)
@given(st.text())
def test_nobody_is_led_elsewhere(address: str) -> None:
    assert set(next_page(Paging(next=address))) <= {"after", "until", "since", "offset", "__paging_token", "pagetoken"}


@pytest.mark.parametrize("id", ["", "..", "1/../2", "1?x=1", "1#", "é", "1" * (LONGEST_ID + 1), "1 2", "%2e"])
def test_what_is_no_id_is_not_asked_about(id: str) -> None:
    with pytest.raises(UnreadableError, match="is no id"):
        path_id(id)


def test_ids_are_strings() -> None:
    assert (path_id(17), path_id("44444444_1001")) == ("17", "44444444_1001")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": 1}', b'{"data": [' + b"1," * (MOST_CHANGES + 1) + b"1]}"]
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        page(body, dict, lambda _item, _page: None)


def test_an_item_that_cannot_be_read_stops_none_beside_it() -> None:
    def read(item: int, found: Page) -> None:
        if item == 2:
            raise KeyError(item)
        found.partly.append(str(item))

    found = page(b'{"data": [1, 2, "x", 4]}', int, read)
    assert (found.partly, found.many, found.unread) == (["1", "4"], 4, 2)
    assert [where for where, _ in found.problems] == ["data[1]", "data[2]"]
