"""What platforms answer to an errand is read or refused, whatever it is: no crash, no unbounded work."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.errands import LONGEST_ID
from services.ingest.connectors.bluesky import session
from services.ingest.connectors.bluesky import speaker as bluesky
from services.ingest.connectors.linkedin import speaker as linkedin
from services.ingest.connectors.mastodon import speaker as mastodon
from services.ingest.connectors.tiktok import speaker as tiktok
from services.ingest.connectors.youtube import speaker as youtube
from services.ingest.errands import graph
from services.ingest.errands.speaker import Done
from services.ingest.errands.words import LONGEST, read, refusal, same_text
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, RefusedError

pytestmark = pytest.mark.slow

TROUBLES = (AttentionError, AwayError, LimitedError, RefusedError, session.ExpiredError)
REFUSED: dict[str, Callable[[int, bytes], Exception | None]] = {
    "bluesky": bluesky._refused, "linkedin": linkedin._refused, "mastodon": mastodon._refused,
    "meta": graph._refused, "youtube": youtube._refused,
}  # fmt: skip
SHAPES = [
    bluesky._Record, bluesky._Gate, session._Opened, session._Document, graph._Page, graph._Made, graph._Sent,
    graph._Talks, linkedin._Comment, linkedin._Comments, mastodon._Status, mastodon._Context, tiktok._Answer,
    youtube._Comments, youtube._Comment,
]  # fmt: skip
WORDS = (
    "error",
    "errors",
    "message",
    "code",
    "reason",
    "data",
    "items",
    "id",
    "from",
    "snippet",
    "elements",
    "comments",
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=15,
)  # fmt: skip
bodies = anything.map(lambda found: json.dumps(found).encode()) | st.binary(max_size=200) | st.just(b"[" * 5_000)
statuses = st.sampled_from([200, 204, 301, 400, 401, 403, 404, 409, 422, 429, 500, 502])


@pytest.mark.parametrize("platform", REFUSED)
def test_a_refusal_of_any_shape_is_a_known_trouble_or_none(platform: str) -> None:
    @settings(max_examples=200, deadline=None)
    @given(statuses, bodies)
    def told(status: int, body: bytes) -> None:
        found = REFUSED[platform](status, body)
        assert found is None or isinstance(found, TROUBLES)
        assert found is None or len(str(found)) < LONGEST + 200

    told()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.__module__.split('.')[-2]}-{shape.__name__}")
def test_an_answer_of_any_shape_is_read_or_not_known(shape: Any) -> None:
    @settings(max_examples=200, deadline=None)
    @given(bodies)
    def told(body: bytes) -> None:
        try:
            read(body, shape)
        except AwayError:
            return

    told()


@settings(max_examples=200, deadline=None)
@given(bodies)
def test_what_tiktok_answers_is_done_or_a_known_trouble(body: bytes) -> None:
    try:
        tiktok._checked(body)
    except TROUBLES:
        return


def test_reasons_are_one_short_line_that_controls_nothing() -> None:
    body = json.dumps({"error": "too\nlong\u202e\x1b[2J" + "x" * 5_000}).encode()
    said = refusal(body, mastodon._Error, lambda found: found.error)
    assert said.isprintable()
    assert len(said) < LONGEST + 100


@given(st.text(max_size=50))
def test_the_same_text_is_the_same_whatever_the_blanks(text: str) -> None:
    assert same_text(text, f"  {text}\n")


@given(st.text(min_size=1, max_size=2_000), st.text(max_size=100_000))
def test_what_the_platform_calls_it_is_kept_only_if_it_can_be(id: str, url: str) -> None:
    done = Done(id, url).bounded()
    assert done.id is None or len(done.id) <= LONGEST_ID
    assert done.url is None or done.url.startswith(("https://", "http://"))


@given(st.text(max_size=500))
def test_links_are_where_they_are_said_to_be(text: str) -> None:
    said = f"{text} https://roastery.example/ö {text}"
    for each in bluesky.links_in(said):
        index = each["index"]
        part = said.encode()[index["byteStart"] : index["byteEnd"]].decode()
        assert part == each["features"][0]["uri"]
        assert part.startswith("http")
