"""What becomes of platforms' deliveries: each recorded one exactly, damaged ones without harm to those beside them."""

import contextlib
import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct, structs

from rapport.contracts.events import Interaction
from rapport.domain.exchanges.fitting import fit
from services.api.accounts.connections import NEEDED, check
from services.api.http.problems import ProblemError
from services.ingest.broker import record_of
from services.ingest.connectors.facebook import normalise as facebook
from services.ingest.hooks.delivery import LARGEST_NULLED, MOST_CHANGES, MOST_PROBLEMS, UnreadableError, decode
from services.ingest.hooks.recent import Recent
from tests.damage import changed, places
from tests.deliveries import (
    FOLDER,
    HOOKS,
    OBSERVED_AT,
    Recorded,
    lookup,
    recorded,
    said,
)
from tests.fuzz.properties import FORESEEN

RECORDED = list(recorded())
PLATFORMS = sorted({one.platform for one in RECORDED})


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: f"{one.platform}/{one.name}")
def test_a_delivery_becomes_exactly_its_interactions(one: Recorded) -> None:
    found = one.read(one.body)
    assert said(found) == one.expected
    again = one.read(one.body)
    assert again.interactions == found.interactions, "sent again, it is the same"
    for interaction in found.interactions:
        record = record_of(fit(interaction))
        msgspec.json.decode(record.value, type=Interaction)


def left_out(platform: str) -> set[str]:
    """The names of fields that a platform may leave out, wherever they stand."""
    packages = [
        importlib.import_module(f"services.ingest.{package}") for package in (f"connectors.{platform}", "hooks")
    ]
    modules = [
        importlib.import_module(f"{package.__name__}.{each.name}")
        for package in packages
        for each in pkgutil.iter_modules(package.__path__)
    ]
    shapes = {
        each
        for module in modules
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Struct) and each.__module__ == module.__name__
    }
    fields = [one for each in shapes for one in structs.fields(each)]
    return {one.encode_name for one in fields if not one.required} - {one.encode_name for one in fields if one.required}


@pytest.mark.parametrize(
    "one", [one for one in RECORDED if one.platform != "bluesky"], ids=lambda one: f"{one.platform}/{one.name}"
)
def test_null_says_as_little_as_what_is_left_out(one: Recorded) -> None:
    nothing = dict.fromkeys(left_out(one.platform))
    assert len(nothing) > 10

    def more(found: Any) -> Any:
        if isinstance(found, dict):
            return {**nothing, **{name: more(value) for name, value in found.items()}}
        return [more(each) for each in found] if isinstance(found, list) else found

    try:
        body = json.dumps(more(json.loads(one.body))).encode()
    except ValueError:
        pytest.skip("it is not JSON")
    assert said(one.read(body)) == one.expected


def test_what_lacks_what_it_needs_is_not_read_for_all_its_nulls() -> None:
    class Shape(Struct):
        id: int
        names: list[str] = []

    assert decode(b'{"id": 7340036588412349765, "names": null}', Shape) == Shape(7340036588412349765)
    assert decode(b'{"id": 1, "names": []}', Shape) == Shape(1)
    for body in (
        b'{"id": null, "names": null}', b'{"id": 1, "names": [null]}', b'{"id": 1, "names": "null"}', b"null", b"[null",
        b'{"id": 1, "names": null, "more": "' + b"x" * LARGEST_NULLED + b'"}',
    ):  # fmt: skip
        with pytest.raises(UnreadableError):
            decode(body, Shape)


def test_each_platform_that_pushes_or_streams_has_deliveries() -> None:
    assert sorted({*HOOKS, "bluesky", "mastodon"}) == PLATFORMS
    assert {file.parent.name for file in FOLDER.glob("*/*.json")} == set(PLATFORMS)


def test_the_api_asks_for_what_each_of_them_needs_of_a_connection() -> None:
    assert {platform: hook.id_field for platform, hook in HOOKS.items()} == {
        name: its[0] for name, its in NEEDED.items() if name in HOOKS
    }
    with pytest.raises(ProblemError, match="page is missing"):
        check("facebook", {"page": " "})
    check("facebook", {})  # read through the generic door alone


odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(["", "\x00", "9" * 600, "NaN", "0001-01-01T00:00:00Z", "-1", "1e400"]), st.just([]), st.just({}),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=5), st.none(), max_size=3),
)  # fmt: skip


@pytest.mark.parametrize("platform", PLATFORMS)
@given(data=st.data())
@settings(max_examples=250, suppress_health_check=list(HealthCheck), deadline=None)
def test_whatever_stands_in_a_place_nothing_is_raised_and_nothing_of_others_is_invented(
    platform: str, data: st.DataObject
) -> None:
    one = data.draw(st.sampled_from([each for each in RECORDED if each.platform == platform]))
    body = json.loads(one.body)
    place = data.draw(st.sampled_from(places(body)))
    damaged = json.dumps(changed(body, place, data.draw(odd))).encode()
    try:
        found = one.read(damaged)
    except UnreadableError:
        return
    assert len(found.interactions) + found.unread <= len(damaged)
    for interaction in found.interactions:
        assert one.lookup(_id_of(one, interaction)), "only for accounts that are connected"


EDGES = (
    253_402_300_799,
    253_402_300_800,
    -62_135_596_800,
    2**63,
    2**64,
    "9999-12-31T23:59:59-14:00",
    "1970-01-01T00:00Z",
)
"""Where times and numbers end: for Python, for MongoDB, for 64 bits, and for us."""


@pytest.mark.parametrize("platform", PLATFORMS)
def test_whatever_ends_there_in_any_place_nothing_is_raised(platform: str) -> None:
    for one in RECORDED:
        if one.platform == platform:
            body = json.loads(one.body)
            for place in places(body):
                for edge in EDGES:
                    with contextlib.suppress(UnreadableError):
                        one.read(json.dumps(changed(body, place, edge)).encode())


def removed(body: Any, place: tuple[Any, ...]) -> Any:
    """The body without what stands in a place."""
    *outer, last = place
    inner = body
    for step in outer:
        inner = inner[step]
    items = inner.items() if isinstance(inner, dict) else enumerate(inner)
    left = [(name, each) for name, each in items if name != last]
    return changed(body, tuple(outer), dict(left) if isinstance(inner, dict) else [each for _, each in left])


def without(body: Any) -> Iterator[Any]:
    """The body with each of its places gone, null, or a number that is a time of the year 10000."""
    for place in places(body):
        for other in (None, YEAR_10000):
            yield changed(body, place, other)
        if place:
            yield removed(body, place)


YEAR_10000 = 253_402_300_800
"""Seconds since 1970. Python has no such time."""


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: f"{one.platform}/{one.name}")
def test_what_is_missing_in_any_place_is_read_or_is_a_problem_that_was_foreseen(one: Recorded) -> None:
    try:
        body = json.loads(one.body)
    except ValueError:
        return
    for damaged in without(body):
        try:
            found = one.read(json.dumps(damaged).encode())
        except UnreadableError:
            continue
        assert all(problem.why.startswith(FORESEEN) for problem in found.problems), found.problems


UNREADABLE = {
    "comment-without-an-id", "content-is-missing", "content-is-not-json", "damaged-payload", "damaged-time",
    "empty-filter", "follow-without-a-uuid", "impossible-time", "missing-author", "reply-to-nobody-known",
}  # fmt: skip
"""Deliveries of which nothing can be read. What says nothing that anybody wants to know is no problem."""


@pytest.mark.parametrize("one", RECORDED, ids=lambda one: f"{one.platform}/{one.name}")
def test_what_is_ignored_is_no_problem(one: Recorded) -> None:
    if one.expected == []:
        assert bool(one.read(one.body).problems) == (one.name in UNREADABLE)


def _id_of(one: Recorded, interaction: Interaction) -> str:
    file = json.loads((FOLDER / one.platform / f"{one.name}.json").read_text())
    accounts = {each.get("account", f"{one.platform}-roastery"): each["id"] for each in file["accounts"]}
    return str(accounts[interaction.account])


@pytest.mark.parametrize("platform", sorted(HOOKS))
@given(body=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@settings(max_examples=200, deadline=None)
def test_what_is_no_delivery_at_all_is_refused(platform: str, body: bytes) -> None:
    try:
        found = HOOKS[platform].read(body, lambda _: (), OBSERVED_AT)
    except UnreadableError:
        return
    assert found.interactions == []


@pytest.mark.parametrize("platform", sorted(HOOKS))
@pytest.mark.parametrize(
    "body", [b"[" * 200_000, b'{"entry":' * 100_000, b'{"a":"' + b"x" * 2**20], ids=["lists", "objects", "long"]
)
def test_what_nests_deeply_or_never_ends_is_refused(platform: str, body: bytes) -> None:
    with pytest.raises(UnreadableError):
        HOOKS[platform].read(body, lambda _: (), OBSERVED_AT)


def _full(platform: str, bad: dict[str, Any], changes: int) -> bytes:
    """A delivery of so many changes, all damaged."""
    if platform == "threads":
        return json.dumps({"target_id": "7", "time": 1795953605, "values": [bad] * changes}).encode()
    entry = {"id": "7", "time": 1795953605, "changes": [bad] * changes}
    return json.dumps({"object": "page" if platform == "facebook" else platform, "entry": [entry]}).encode()


@pytest.mark.parametrize(
    ("platform", "bad"),
    [
        ("facebook", {"field": "feed", "value": {"item": "comment"}}),
        ("instagram", {"field": "comments", "value": {}}),
        ("threads", {"field": "replies", "value": {}}),
    ],
)
def test_so_many_changes_are_too_many_and_only_the_first_problems_are_named(platform: str, bad: dict[str, Any]) -> None:
    seven = lookup(platform, [{"id": "7"}])
    found = HOOKS[platform].read(_full(platform, bad, MOST_CHANGES), seven, OBSERVED_AT)
    assert (found.unread, len(found.problems)) == (MOST_CHANGES, MOST_PROBLEMS)
    with pytest.raises(UnreadableError, match="at once"):
        HOOKS[platform].read(_full(platform, bad, MOST_CHANGES + 1), seven, OBSERVED_AT)


@pytest.mark.parametrize("platform", ["facebook", "instagram"])
def test_entries_that_cannot_be_read_are_problems_and_count_as_changes(platform: str) -> None:
    what = "page" if platform == "facebook" else platform
    body = json.dumps({"object": what, "entry": [7] * MOST_CHANGES}).encode()
    assert HOOKS[platform].read(body, lambda _: (), OBSERVED_AT).unread == MOST_CHANGES
    with pytest.raises(UnreadableError, match="at once"):
        HOOKS[platform].read(body.replace(b"[7", b"[7, 7"), lambda _: (), OBSERVED_AT)


def test_what_has_no_time_of_its_own_is_not_newer_when_it_is_sent_again() -> None:
    one = next(each for each in RECORDED if (each.platform, each.name) == ("x", "follow"))
    found = HOOKS["x"].read(one.body, one.lookup, OBSERVED_AT).interactions
    dated = next(each for each in RECORDED if (each.platform, each.name) == ("facebook", "comment"))
    recent = Recent(most=1)
    assert recent.fresh(found) == found
    recent.keep(found)
    assert recent.fresh(found) == []
    recent.keep(HOOKS["facebook"].read(dated.body, dated.lookup, OBSERVED_AT).interactions)
    assert recent.fresh(found) == [], "what has a time needs no remembering"
    recent.keep([structs.replace(each, id="another") for each in found])
    assert recent.fresh(found) == found, "the oldest are forgotten"


def test_a_link_on_a_page_is_the_same_pushed_and_found_by_asking() -> None:
    (one,) = [each for each in RECORDED if (each.platform, each.name) == ("facebook", "link-by-a-visitor")]
    pushed = one.read(one.body).interactions[0]
    (watched,) = one.lookup("44444444")
    item = {
        "id": pushed.id, "created_time": pushed.occurred_at.isoformat(), "from": {"id": "7001", "name": "Ada"},
        "message": pushed.text, "attachments": {"data": [{"media_type": "link"}]},
    }  # fmt: skip
    assert facebook.posts(json.dumps({"data": [item]}).encode(), watched, OBSERVED_AT).interactions == [pushed]
