"""A repository from Bluesky: what of it is imported is what the connector makes of the same records."""

import io
from datetime import timedelta

import libipld
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.events import Interaction
from services.imports import bluesky, car
from services.imports.checking import Checked, Checker
from services.imports.entries import LeftOut, Source, UnreadableFileError
from services.ingest.connectors.bluesky import records
from services.ingest.connectors.bluesky.frames import FOLLOW, LIKE, POST, Change
from services.ingest.connectors.bluesky.normalise import Watched, written
from services.ingest.connectors.seen import Seen
from tests.services.imports.files import ACME, BLUESKY, CONNECTED, FAN, NOW, bluesky_post, cid_of, dag_cbor, repository

FANS = f"at://{FAN}/{POST}/question"
OWN = f"at://{ACME}/{POST}"
RECORDS = {
    f"{POST}/3k1": bluesky_post("New beans"),
    f"{POST}/3k2": bluesky_post("We do!", (f"{OWN}/3k1", FANS)),
    f"{POST}/3k3": bluesky_post("And to Norway.", (f"{OWN}/3k1", f"{OWN}/3k2")),
    f"{POST}/3k4": bluesky_post("More of it", (f"{OWN}/3k1", f"{OWN}/3k1")),
}


def opened(raw: bytes) -> Source:
    return bluesky.open_repository(io.BytesIO(raw), len(raw), "acme", BLUESKY, NOW)


def checked(source: Source) -> list[Checked | LeftOut]:
    checker = Checker(source, "acme", BLUESKY, CONNECTED, NOW)
    return [checker.check(entry) for entry in source.entries()]


def live() -> list[Interaction]:
    """What the connector makes of the same records, read before the account was connected."""
    seen: dict[str, Seen] = {}
    found = []
    watched = Watched("acme", BLUESKY, ACME, frozenset({ACME}))
    for path, content in RECORDS.items():
        cid = libipld.encode_cid(cid_of(dag_cbor(content)))
        change = Change(ACME, "create", POST, path.split("/")[1], "rev", CONNECTED - timedelta(days=9), cid, content)
        record = records.read(change)
        assert record is not None
        made = written(record, watched, seen.get, NOW)
        assert made is not None
        seen[change.uri] = made[1]
        found.append(made[0])
    return found


@pytest.mark.parametrize("split", [False, True])
def test_posts_and_answers_are_what_the_connector_makes_of_them(split: bool) -> None:
    source = opened(repository(RECORDS, split=split))
    found = [each.interaction for each in checked(source) if isinstance(each, Checked)]
    assert found == live()
    assert [each.kind for each in found] == ["post", "reply", "reply", "post"]
    assert {each.parent.actor for each in found if each.kind == "reply" and each.parent} == {FAN}
    assert source.of == ACME
    assert [entry.done for entry in source.entries()][-1] <= source.total


def test_what_the_brand_likes_and_follows_is_counted_and_left_out() -> None:
    raw = repository(
        {
            **RECORDS,
            f"{LIKE}/1": {"subject": {"uri": FANS, "cid": "c"}},
            f"{FOLLOW}/1": {"subject": FAN},
            "app.bsky.actor.profile/self": {"displayName": "Acme"},
            f"{POST}/4a": {"text": 7},
            f"{POST}/4b": {"text": "when?"},
            f"{POST}/4c": bluesky_post("later", at="2026-11-21T00:00:00Z"),
        }
    )
    left = [(each.reason, each.wrong) for each in checked(opened(raw)) if isinstance(each, LeftOut)]
    assert sorted(left) == [
        ("not a post", True),
        ("not a post", True),
        ("other records", False),
        ("the brand's own follows", False),
        ("the brand's own likes", False),
        ("written after the account was connected", False),
    ]


def test_a_damaged_record_is_named_and_stops_none_beside_it() -> None:
    raw = repository(RECORDS).replace(b"We do!", b"We DO!")
    found = checked(opened(raw))
    assert [each.reason for each in found if isinstance(each, LeftOut)] == [bluesky.DAMAGED]
    assert sum(isinstance(each, Checked) for each in found) == 3


@pytest.mark.parametrize("raw", [b"", b"\x00", b"x" * 100, b"\xff" * 100, b"\x05hello", repository(RECORDS)[:300]])
def test_a_file_that_is_no_repository_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(UnreadableFileError, match=r"CAR file|cut short"):
        opened(raw)


def test_a_download_that_was_cut_short_is_said_to_be() -> None:
    with pytest.raises(UnreadableFileError, match="it is cut short"):
        opened(repository(RECORDS)[:-3])


def test_a_tree_that_comes_back_to_itself_ends() -> None:
    """No honest id can do this, so the comparison with ids is what is circumvented here."""
    twice = repository(RECORDS, split=True)
    archive = car.Car(io.BytesIO(twice), len(twice))
    node = {"l": None, "e": [{"p": 0, "k": b"a/b", "v": cid_of(b""), "t": None}]}
    archive.block = lambda cid: node | {"l": b"another" if cid != b"another" else archive._tree}  # type: ignore[method-assign]
    with pytest.raises(UnreadableFileError, match="its tree is not one"):
        list(archive.records())


WHOLE = repository(RECORDS, split=True)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_whatever_is_damaged_is_read_or_refused(place: int, by: bytes) -> None:
    raw = WHOLE[:place] + by + WHOLE[place + len(by) :]
    try:
        found = checked(opened(raw))
    except UnreadableFileError:
        return
    assert len(found) <= len(RECORDS)
    ids = {each.id for each in live()}
    assert {each.interaction.id for each in found if isinstance(each, Checked)} <= ids, "what is taken is what it says"
    assert all(msgspec.json.decode(each.raw) for each in found if isinstance(each, Checked))
