"""Archives that somebody made to do harm."""

import gzip
import io
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imports import archives
from services.imports.entries import UnreadableFileError
from tests.services.imports.files import note, outbox, tar, tarred, zipped

OUTBOX = outbox(note(1, "x"))


def find(raw: bytes) -> bytes:
    return archives.find(io.BytesIO(raw), len(raw), "outbox.json")


def refused(raw: bytes) -> str:
    with pytest.raises(UnreadableFileError) as error:
        find(raw)
    return str(error.value)


@pytest.mark.parametrize("packed", [zipped, tarred])
def test_a_bomb_is_not_unpacked(packed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_FOUND", 100_000)
    assert callable(packed)
    assert "more than" in refused(packed(outbox_json=b"\0" * 200_000))


def test_a_size_that_lies_is_all_that_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_FOUND", 100_000)
    raw = zipped(outbox_json=b"\0" * 200_000)
    for signature, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = raw.index(signature) + place
        raw = raw[:at] + (50_000).to_bytes(4, "little") + raw[at + 4 :]
    assert refused(raw)


def test_a_tar_whose_content_is_far_larger_than_the_archive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_AT_LEAST", 1_000_000)
    raw = tarred(**{"media/1.png": b"\0" * 3_000_000, "outbox_json": OUTBOX})
    assert "times as large" in refused(raw)


def test_a_zip_that_says_it_is_far_larger_than_itself_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "UNPACKED_AT_LEAST", 1_000_000)
    assert "times as large" in refused(zipped(outbox_json=b"\0" * 3_000_000))


@pytest.mark.parametrize("size", [b"77777777777\0", b"\x80" + b"\x7f" * 11, b"-0000000001\0", b"\xff" * 12])
def test_a_size_that_no_file_has_ends_the_reading(size: bytes) -> None:
    raw = bytearray(tar(**{"media/1.png": b"x", "outbox_json": OUTBOX}))
    raw[124:136] = size
    raw[148:156] = b"%06o\0 " % (sum(raw[:148]) + 8 * ord(" ") + sum(raw[156:512]))
    assert refused(bytes(raw))
    assert refused(gzip.compress(bytes(raw)))


@pytest.mark.parametrize("name", ["../../outbox.json", "/etc/outbox.json", "a\\outbox.json/../outbox.json"])
def test_where_an_entry_says_that_it_belongs_does_not_matter(name: str) -> None:
    assert find(zipped(**{name: OUTBOX})) == OUTBOX
    assert find(tarred(**{name: OUTBOX})) == OUTBOX


def test_a_directory_of_a_zip_that_is_larger_than_memory_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_DIRECTORY", 70_000)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(2_000):
            archive.writestr(f"media/{number}.png", b"")
        archive.writestr("outbox.json", OUTBOX)
    assert "directory" in refused(made.getvalue())


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (zipped(actor_json=b"{}"), "no outbox.json"), (tarred(actor_json=b"{}"), "no outbox.json"),
        (b"PK\x03\x04", "damaged"), (b"\x1f\x8b", "damaged"), (b"", "neither"), (b"\x89PNG", "neither"),
        (gzip.compress(b"x" * 2_000, mtime=0), "not a tar archive"), (tarred(outbox_json=OUTBOX)[:-40], "damaged"),
        (tar(outbox_json=OUTBOX)[:700], "it ends too early"), (b"x" + tar(outbox_json=OUTBOX)[1:], "not a tar archive"),
    ],
)  # fmt: skip
def test_an_archive_of_something_else_is_refused_in_words(raw: bytes, why: str) -> None:
    assert why in refused(raw)


WHOLE = [
    zipped(actor_json=b"{}", outbox_json=OUTBOX),
    tarred(outbox_json=OUTBOX),
    tar(outbox_json=OUTBOX),
]


@given(st.sampled_from(WHOLE), st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_is_damaged_is_read_or_refused(raw: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(raw) - 1))
    by = data.draw(st.binary(min_size=1, max_size=6))
    try:
        find(raw[:place] + by + raw[place + len(by) :])
    except UnreadableFileError:
        return
