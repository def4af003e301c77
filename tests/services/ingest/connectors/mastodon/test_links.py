import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.connectors.mastodon.entities import LONGEST_ID
from services.ingest.connectors.mastodon.links import Links, links

OLDER = '<https://m.example/api/v1/notifications?limit=80&max_id=11>; rel="next"'


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (f'{OLDER}, <https://m.example/x?min_id=90>; rel="prev"', Links("11", "90")),
        (f'<https://m.example/x?since_id=90>; rel="prev", {OLDER}', Links("11", "90")),
        ("</x?min_id=01JB%2B&limit=2#a>;rel=prev", Links(None, "01JB+")),
        (OLDER, Links("11", None)),
        ('<https://169.254.169.254/latest?max_id=11>; title="x"; REL="NEXT"', Links("11", None)),
        ('<https://m.example/x?max_id=11&max_id=12&min_id=3>; rel="next"', Links("11", None)),
        ('<https://m.example/x?page=2>; rel="next"', Links()),
        ('<https://m.example/x?max_id=>; rel="next"', Links()),
        (f'<https://m.example/x?max_id={"1" * 129}>; rel="next"', Links()),
        ('<https://[/x?max_id=11>; rel="last"', Links()),
        ("max_id=11", Links()),
        ("", None),
        (None, None),
    ],
)
def test_a_header_names_an_id_and_nothing_else(header: str | None, named: Links | None) -> None:
    assert links(header) == named


@given(st.lists(st.sampled_from(["<", ">", ";", ",", "?", "&", "=", "rel", "next", "max_id", "%", "1" * 200, "é"])))
def test_whatever_stands_in_a_header_an_id_is_short(parts: list[str]) -> None:
    for named in links("".join(parts)) or ():
        assert named is None or 0 < len(named) <= LONGEST_ID
