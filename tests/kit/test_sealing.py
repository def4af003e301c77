"""A sealed secret opens with its key, in its place, and nowhere else."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rapport.kit.config import SealingSettings
from rapport.kit.sealing import KEY_BYTES, PREFIX, SealedError, Sealer, new_key

SECRET = "whsec_" + "x" * 44

KEY = base64.b64encode(b"k" * KEY_BYTES).decode()


class Sealing(SealingSettings):
    port: int = 1


def keys(folder: Path, *lines: str) -> Sealer:
    file = folder / "keys"
    file.write_text("\n".join(lines))
    return Sealer.of(file)


def test_what_was_sealed_can_be_opened_with_a_newer_key_in_front_and_is_then_no_longer_current(tmp_path: Path) -> None:
    old, new = new_key("old"), new_key("new-2")
    before, after = keys(tmp_path, old), keys(tmp_path, "# rotated", new, "", f"{old}  ")
    sealed = before.seal("door/a", SECRET)
    assert sealed.startswith(f"{PREFIX}old.")
    assert SECRET not in sealed
    assert before.open("door/a", sealed) == after.open("door/a", sealed) == SECRET
    assert (before.current(sealed), after.current(sealed)) == (True, False)
    again = after.seal("door/a", SECRET)
    assert (after.open("door/a", again), after.current(again)) == (SECRET, True)
    assert before.seal("door/a", SECRET) != sealed
    with pytest.raises(SealedError, match="the key 'new-2', which is not in RAPPORT_SEALING_KEYS"):
        before.open("door/a", again)


def test_it_opens_nowhere_else(tmp_path: Path) -> None:
    sealer = keys(tmp_path, new_key("k"))
    sealed = sealer.seal("webhook/acme/hook", SECRET)
    for place in ("webhook/zeta/hook", "webhook/acme/hook2", "door/acme", ""):
        with pytest.raises(SealedError, match="belongs elsewhere"):
            sealer.open(place, sealed)


def test_a_changed_bit_anywhere_is_found(tmp_path: Path) -> None:
    sealer = keys(tmp_path, new_key("k"))
    head, _, text = sealer.seal("p", SECRET).rpartition(".")
    raw = base64.urlsafe_b64decode(text)
    for at in range(len(raw)):
        flipped = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(SealedError):
            sealer.open("p", f"{head}.{base64.urlsafe_b64encode(flipped).decode()}")


def test_a_secret_from_before_there_were_keys_is_taken_as_it_is(tmp_path: Path) -> None:
    sealer = keys(tmp_path, new_key("k"))
    assert sealer.open("p", SECRET) == SECRET
    assert not sealer.current(SECRET)
    assert Sealer().seal("p", SECRET) == SECRET
    assert Sealer().current(SECRET)
    with pytest.raises(SealedError, match="RAPPORT_SEALING_KEYS"):
        Sealer().open("p", sealer.seal("p", SECRET))


@given(st.text())
def test_whatever_pretends_to_be_sealed_is_refused_with_a_sentence(rest: str) -> None:
    sealer = Sealer((("k", b"k" * KEY_BYTES),))
    for pretended in (f"{PREFIX}{rest}", f"{PREFIX}k.{rest}"):
        with pytest.raises(SealedError):
            sealer.open("p", pretended)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it has no key"),
        ("# only words\n", "it has no key"),
        ("k " + "A" * 43, "line 1 is not"),
        ("\nUpper " + "A" * 43 + "=", "line 2 is not"),
        (f"k {KEY}\nk {KEY}", "line 2 has the id k again"),
        ("k " + base64.b64encode(b"x" * 16).decode(), "line 1 is not"),
        ("\udcff\x00", "line 1 is not"),
        ("x" * 70_000, "more than 65536 bytes"),
    ],
)
def test_a_file_of_keys_that_is_none_stops_the_start_and_shows_nothing_of_itself(
    tmp_path: Path, content: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    monkeypatch.setenv("RAPPORT_SEALING_KEYS", str(file))
    with pytest.raises(ValidationError, match=why) as raised:
        Sealing()
    for word in content.split():
        assert len(word) < 20 or word not in str(raised.value)


def test_a_file_that_is_not_there_is_named_and_an_empty_setting_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_SEALING_KEYS", str(tmp_path / "nowhere"))
    with pytest.raises(ValidationError, match=r"nowhere: No such file"):
        Sealing()
    monkeypatch.setenv("RAPPORT_SEALING_KEYS", "")
    assert Sealing().sealer == Sealer()


def test_the_keys_are_in_no_line_of_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = new_key("k")
    file = tmp_path / "keys"
    file.write_text(line)
    monkeypatch.setenv("RAPPORT_SEALING_KEYS", str(file))
    settings = Sealing()
    assert line.split()[1] not in settings.described() + repr(settings) + repr(settings.sealer) + str(settings.sealer)
