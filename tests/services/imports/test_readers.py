"""What each format's reader makes of a file, in the order of the file, with what is wrong beside what is right."""

import io
import json
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.imports import lines, mastodon, table
from services.imports.checking import LATER, TIMELESS, Checked, Checker
from services.imports.entries import LONGEST, LeftOut, Source, UnreadableFileError
from services.imports.formats import format_of
from tests.services.imports.files import ACCOUNT, CONNECTED, NOW, OWNER, note, outbox, tar, tarred, zipped

ADA = "https://other.example/users/ada"
ADAS = f"{ADA}/statuses/1"
COMMENT = '{"id": "c1", "kind": "comment", "actor": {"id": "ada"}, "occurred_at": "2026-11-01T10:00:00Z"}'
ZONE = ZoneInfo("Europe/Berlin")


def csv(text: str | bytes, order: Any = None) -> Source:
    raw = text if isinstance(text, bytes) else text.encode()
    return table.open_table(io.BytesIO(raw), len(raw), ZONE, order)


def ndjson(text: str | bytes) -> Source:
    raw = text if isinstance(text, bytes) else text.encode()
    return lines.open_lines(io.BytesIO(raw), len(raw))


def archive(raw: bytes) -> Source:
    return mastodon.open_archive(io.BytesIO(raw), len(raw))


def checked(source: Source) -> list[tuple[str, Checked | LeftOut]]:
    """Where each entry stands, and what becomes of it."""
    checker = Checker(source, "acme", ACCOUNT, CONNECTED, NOW)
    return [(entry.at, checker.check(entry)) for entry in source.entries()]


def taken(source: Source) -> list[Checked]:
    """Everything that is sent; nothing may be left out."""
    found = [what for _, what in checked(source)]
    assert not [each for each in found if isinstance(each, LeftOut)], found
    return [each for each in found if isinstance(each, Checked)]


def reasons(source: Source) -> list[tuple[str, str, str]]:
    """Where, because of what, and why something is left out."""
    return [(at, what.reason, what.why) for at, what in checked(source) if isinstance(what, LeftOut)]


# CSV


def test_a_row_of_a_table_is_an_interaction_with_every_field_that_the_door_takes() -> None:
    text = (
        "id;kind;actor_id;actor_name;actor_bot;text;parent_id;parent_actor;post;media;amount;currency;undo;occurred_at\n"
        'r1;reply;mira;Mira;no;"Yes; of course,\nany day";c1;ada;p1;image, link;;;;31.10.2026 09:00\n'
        "b1;purchase;ada;Ada;;;;;;;12.50;EUR;true;2026-11-01T09:00:00+01:00\n"
    )
    reply, purchase = (each.interaction for each in taken(csv(text)))
    assert reply.parent is not None
    assert (reply.kind, reply.actor.name, reply.actor.bot) == ("reply", "Mira", False)
    assert (reply.parent.id, reply.parent.actor, reply.post, reply.media) == ("c1", "ada", "p1", ("image", "link"))
    assert reply.text == "Yes; of course,\nany day"
    assert reply.occurred_at.isoformat() == "2026-10-31T08:00:00+00:00", "a time without an offset is the brand's"
    assert (str(purchase.amount), purchase.currency, purchase.undo) == ("12.50", "EUR", True)


def test_every_column_is_a_field_of_an_interaction() -> None:
    from services.ingest.submission import Received

    known = {each.name for each in msgspec.structs.fields(Received)}
    stamped = {"brand", "platform", "account", "occurred_at_source", "observed_at"}
    assert {field[0] for field in table.FIELDS.values()} == known - stamped
    nested = {"actor": {"links"}, "object": set(), "parent": set()}
    for outer, missing in nested.items():
        its = next(each.type for each in msgspec.structs.fields(Received) if each.name == outer)
        struct = its if isinstance(its, type) else its.__args__[0]
        inner = {each.name for each in msgspec.structs.fields(struct)}
        assert {field[1] for field in table.FIELDS.values() if field[0] == outer} == inner - missing


def test_a_wrong_row_is_named_by_its_line_and_stops_none_beside_it() -> None:
    text = (
        "id,kind,actor_id,text,occurred_at\n"
        'a,comment,ada,"two\nlines",2026-11-01 10:00\n'
        "b,coment,ada,x,2026-11-01 10:00\n"
        'c,comment,ada,"x"y,2026-11-01 10:00\n'
        "d,comment,,x,2026-11-01 10:00\n"
        "e,comment,ada,x,yesterday\n"
        "f,comment,ada,x,2026-11-01 10:00,more\n"
        'g,comment,ada,"never closed,2026-11-01 10:00\n'
        "h,comment,ada,x,2026-11-01 10:00\n"
    )
    found = checked(csv(text))
    assert [what.interaction.id for _, what in found if isinstance(what, Checked)] == ["a", "h"]
    assert [(at, what.reason) for at, what in found if isinstance(what, LeftOut)] == [
        ("line 4", "kind is missing or wrong"),
        ("line 5", "not a row of a table"),
        ("line 6", "actor_id is missing or wrong"),
        ("line 7", "occurred_at is wrong"),
        ("line 8", "not a row of a table"),
        ("line 9", "not a row of a table"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("kind,actor_id,ocurred_at\n", "line 1: unknown column ocurred_at; did you mean occurred_at?"),
        ("kind,actor_id\n", "missing: occurred_at"),
        ("", "it is empty"),
        ("Account address,Show boosts\nada@other.example,true\n", "a list of accounts from Mastodon"),
    ],
)
def test_a_table_of_something_else_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        csv(text)


def test_one_date_anywhere_in_the_file_shows_which_way_round_the_others_are() -> None:
    text = "kind,actor_id,occurred_at\ncomment,ada,03/04/2026 09:00\ncomment,ada,12/31/2025 9:00 AM\n"
    assert [each.interaction.occurred_at.month for each in taken(csv(text))] == [3, 12]
    one = "kind,actor_id,occurred_at\ncomment,ada,03/04/2026 09:00\n"
    assert "unclear" in reasons(csv(one))[0][2]
    assert taken(csv(one, "day-first"))[0].interaction.occurred_at.month == 4


# NDJSON


def test_lines_are_what_the_door_takes_with_the_number_of_each_in_what_is_wrong() -> None:
    second, unknown = COMMENT.replace("c1", "c2"), f'{COMMENT[:-1]}, "txt": "x"}}'
    found = checked(ndjson(f'\ufeff{COMMENT}\r\n\n{{"id": "x"}}\nnot json\n{second}\n{unknown}\n[1]'))
    assert [what.interaction.id for _, what in found if isinstance(what, Checked)] == ["c1", "c2"]
    assert [(at, what.reason) for at, what in found if isinstance(what, LeftOut)] == [
        ("line 3", "kind is missing or wrong"),
        ("line 4", "not JSON"),
        ("line 6", "txt is missing or wrong"),
        ("line 7", "not an interaction"),
    ]


def test_a_line_that_is_too_long_is_skipped_without_being_read() -> None:
    source = ndjson(b'{"x": "' + b"a" * (3 * LONGEST) + b'"}\n' + COMMENT.encode())
    (first, left), (second, right) = checked(source)
    assert (first, second) == ("line 1", "line 2")
    assert isinstance(left, LeftOut)
    assert isinstance(right, Checked)
    assert [entry.done for entry in source.entries()][-1] == source.total


@pytest.mark.parametrize(("text", "why"), [("[]", "jq"), ("", "empty"), ("a,b\n", "not NDJSON")])
def test_a_file_without_lines_of_json_is_refused_in_words(text: str, why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        ndjson(text)


# What is checked in every format


def test_what_has_no_id_gets_one_from_its_content_however_it_is_written() -> None:
    line = '{"kind": "comment", "actor": {"id": "ada"}, "text": "Hi", "occurred_at": "2026-11-01T10:00:00Z"}'
    other = '{ "occurred_at":"2026-11-01T10:00:00Z","text":"Hi","actor":{"id":"ada"},  "kind":"comment"}'
    ids = [each.interaction.id for each in taken(ndjson("\n".join([line, other, line.replace("Hi", "Ho")])))]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("import:")
    comma = csv("kind,actor_id,text,occurred_at\ncomment,ada,Hi,2026-11-01T10:00:00Z\n")
    semicolon = csv("occurred_at;text;kind;actor_id\n01.11.2026 11:00;Hi;comment;ada\n")
    assert taken(comma)[0].interaction.id == taken(semicolon)[0].interaction.id
    assert all(msgspec.json.decode(each.raw)["id"] == each.interaction.id for each in taken(comma)), "it is sent"


@pytest.mark.parametrize(
    ("at", "reason", "wrong"),
    [
        ("2026-11-19T23:59:59Z", None, False),
        ("2026-11-20T00:00:00Z", LATER, False),
        ("2999-01-01T00:00:00Z", LATER, False),
        (None, TIMELESS, True),
    ],
)
def test_only_what_was_before_the_connection_is_imported(at: str | None, reason: str | None, wrong: bool) -> None:
    line = COMMENT.replace('"2026-11-01T10:00:00Z"', f'"{at}"' if at else "null")
    [(_, what)] = checked(ndjson(line))
    if reason is None:
        assert isinstance(what, Checked)
    else:
        assert isinstance(what, LeftOut)
        assert (what.reason, what.wrong) == (reason, wrong)


# Mastodon


def test_posts_and_answers_of_an_archive_are_the_brands() -> None:
    raw = outbox(
        note(1, "New beans<br>are in<br/>&amp; fresh", attachment=[{"mediaType": "image/png"}, {"mediaType": None}]),
        note(2, '<span><a href="x" class="u-url mention">@ada</a></span> Yes</p><p>soon', ADAS, (ADA,)),
        note(3, "and cheap", f"{OWNER}/statuses/2"),
        note(4, 'See <a href="https://acme.example">us</a>', f"{OWNER}/statuses/1"),
    )
    post, reply, more, thread = (each.interaction for each in taken(archive(raw)))
    assert (post.kind, post.text, post.media) == ("post", "New beans\nare in\n& fresh", ("image",))
    assert (post.id, post.object.url) == ("1@social.example", "https://social.example/@acme/1")
    assert (post.actor.id, post.actor.handle, post.language) == (OWNER, "@acme@social.example", "en")
    assert reply.parent is not None
    assert (reply.kind, reply.text) == ("reply", "@ada Yes\n\nsoon")
    assert (reply.parent.id, reply.parent.actor) == (ADAS, ADA)
    assert more.parent == reply.parent, "the second part of an answer answers what the first part did"
    assert (more.kind, thread.kind, thread.media) == ("reply", "post", ("link",))


def test_the_author_of_what_is_answered_is_the_one_whose_address_it_has() -> None:
    others = ("https://other.example/users/ad", ADA, "https://third.example/users/bo")
    [reply] = taken(archive(outbox(note(1, "x", ADAS, others))))
    assert reply.interaction.parent is not None
    assert reply.interaction.parent.actor == ADA
    [one] = taken(archive(outbox(note(1, "x", "https://other.example/notes/77", (OWNER, ADA)))))
    assert one.interaction.parent is not None
    assert one.interaction.parent.actor == ADA, "the only one who is named"
    assert (
        reasons(archive(outbox(note(1, "x", "https://other.example/notes/77", others))))[0][1] == mastodon.NOBODY.reason
    )


def test_what_an_archive_holds_beside_posts_is_counted_and_left_out() -> None:
    boost = {"id": "b", "type": "Announce", "actor": OWNER, "published": "2026-11-01T10:00:00Z", "object": ADAS}
    private = {"to": [ADA], "cc": []}
    raw = outbox(
        note(1, "x"),
        boost,
        note(2, "psst", None, (ADA,), **private),
        note(3, "psst, yes", ADAS, (ADA,), **private),
        note(4, "by another") | {"actor": ADA},
        {"type": "Create", "actor": OWNER, "object": {"id": 7}},
        {"type": "Delete", "actor": OWNER},
        7,
    )
    found = checked(archive(raw))
    assert [what.interaction.kind for _, what in found if isinstance(what, Checked)] == ["post", "reply"]
    left = [(at, what.reason, what.wrong) for at, what in found if isinstance(what, LeftOut)]
    assert left == [
        ("activity 2", mastodon.BOOST.reason, False),
        ("activity 3", mastodon.PRIVATE.reason, False),
        ("activity 5", mastodon.NOT_AN_ACTIVITY, True),
        ("activity 6", mastodon.NOT_AN_ACTIVITY, True),
        ("activity 7", mastodon.OTHER, False),
        ("activity 8", mastodon.NOT_AN_ACTIVITY, True),
    ]


@pytest.mark.parametrize("packed", [zipped, tarred, tar, lambda **f: f["outbox_json"]])
def test_an_archive_is_read_however_it_is_packed(packed: Callable[..., bytes]) -> None:
    raw = packed(**{"media_attachments/1.png": b"\0" * 5_000, "outbox_json": outbox(note(1, "x")), "actor_json": b"{}"})
    source = archive(raw)
    assert (source.of, source.total) == ("@acme@social.example", 1)
    assert [each.interaction.text for each in taken(source)] == ["x"]
    assert format_of("archive", io.BytesIO(raw)) == "mastodon"


def test_an_address_that_has_a_number_for_a_name_tells_no_handle() -> None:
    assert mastodon.handle_of("https://social.example/users/acme") == "@acme@social.example"
    assert mastodon.handle_of("https://social.example/ap/users/115000000000000001") is None


@given(st.text(max_size=200) | st.text(max_size=100).map(lambda text: f"https://[{text}"))
@settings(max_examples=100)
def test_an_archive_of_anybody_whatever_their_address_is_read(owner: str) -> None:
    raw = json.dumps({"orderedItems": [{**note(1, "x"), "actor": owner}]}).encode()
    mastodon.handle_of(owner)
    archive(raw)


# Formats


@pytest.mark.parametrize(
    ("name", "start", "format"),
    [
        ("a.csv", b"id,kind\n", "csv"), ("a.TSV", b"id\tkind\n", "csv"), ("a.jsonl", b"{}", "ndjson"),
        ("a", COMMENT.encode(), "ndjson"), ("repo.car", b"\x3a\xa2", "bluesky"), ("a", b"PK\x03\x04", "mastodon"),
        ("outbox.json", b"{}", "mastodon"), ("a.json", outbox(), "mastodon"), ("a.tar.gz", b"\x1f\x8b", "mastodon"),
    ],
)  # fmt: skip
def test_the_format_is_found(name: str, start: bytes, format: str) -> None:
    assert format_of(name, io.BytesIO(start)) == format


def test_where_nothing_tells_the_format_it_is_asked_for() -> None:
    with pytest.raises(UnreadableFileError, match="--format"):
        format_of("notes.doc", io.BytesIO(b"Dear all"))


# Whatever is read, a good row is found in it


JUNK = st.text(alphabet='ab,;"{}[]:\t01x', max_size=30)


@given(st.lists(JUNK, max_size=8), st.integers(0, 8))
def test_a_good_line_is_found_among_any_others(junk: list[str], place: int) -> None:
    texts = ['{"first": 1}', *junk[:place], COMMENT, *junk[place:]]
    found = [what for _, what in checked(ndjson("\n".join(texts)))]
    assert sum(isinstance(each, Checked) for each in found) == 1


@given(st.lists(JUNK.filter(lambda text: text.count('"') == 0), max_size=8), st.lists(JUNK, max_size=8))
def test_a_good_row_is_found_among_any_others(before: list[str], after: list[str]) -> None:
    good = "c1,comment,ada,2026-11-01T10:00:00Z"
    found = [what for _, what in checked(csv("\n".join(["id,kind,actor_id,occurred_at", *before, good, *after])))]
    assert [each.interaction.id for each in found if isinstance(each, Checked)] == ["c1"]
