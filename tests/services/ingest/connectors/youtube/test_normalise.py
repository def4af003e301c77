"""What pages of YouTube's comments say: once, in whatever order and however often they come.

`pages/<name>.json` has where the shape is documented (`source`), what happened (`says`), and the `page`.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rapport.contracts.events import Account, Interaction, Parent
from rapport.domain.exchanges.fitting import fit
from services.ingest.broker import record_of
from services.ingest.connectors.youtube.normalise import (
    Find,
    Fingerprint,
    Page,
    Thread,
    answers,
    comment_counts,
    hiding,
    ids,
    replies,
    threads,
    uploads,
    uploads_of,
)
from services.ingest.hooks.delivery import MOST_CHANGES, UnreadableError, Watched
from tests.damage import changed, places

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ROASTERY, ADA, BEN = "UCroastery0000000000000r", "UCadaLovelace0000000000a", "UCbenBitdiddle000000000b"
VIDEO, TOP = "dQw4w9WgXcQ", "UgyAdaAsks0000000001AaABAg"
PAGES = {file.stem: json.loads(file.read_text()) for file in sorted((Path(__file__).parent / "pages").glob("*.json"))}
THREAD = Thread(TOP, VIDEO, VIDEO, VIDEO, more=True)


def watched(*staff: str) -> Watched:
    account = Account(
        id="roastery-youtube", platform="youtube", handle="Roastery", connected_at=NOW, door_secrets=(), staff=staff
    )
    return Watched("roastery", account, ROASTERY, frozenset({ROASTERY}))


class Poller:
    """Reads pages one after the other, and remembers what was seen."""

    def __init__(self, *staff: str) -> None:
        self.watched = watched(*staff)
        self.seen: dict[str, Fingerprint] = {}

    def threads(self, name: str) -> Page:
        return self._noted(threads(body(name), self.watched, self.seen.get, NOW))

    def replies(self, name: str) -> Page:
        return self._noted(below(THREAD, self.watched, self.seen.get, body(name)))

    def _noted(self, page: Page) -> Page:
        self.seen |= page.seen
        return page


def below(thread: Thread, by: Watched, find: Find, *bodies: bytes) -> Page:
    """All that pages of replies say: what others wrote, and then what the brand did."""
    pages = [replies(each, thread, by, find, NOW) for each in bodies]
    said = [one for page in pages for one in page.said]
    whole = answers((raw for page in pages for raw in page.by_brand.values()), said, thread, by, find, NOW)
    for page in reversed(pages):
        page.add(whole)
        whole = page
    return whole


def never(_: str) -> Fingerprint | None:
    return None


def body(name: str) -> bytes:
    return json.dumps(PAGES[name]["page"]).encode()


def short(found: list[Interaction]) -> list[tuple[str, str, str, str | None]]:
    return [(one.id, one.kind, one.actor.id, one.text) for one in found]


@pytest.mark.parametrize("name", PAGES)
def test_each_page_says_where_its_shape_is_documented(name: str) -> None:
    assert PAGES[name]["source"].startswith("https://developers.google.com/youtube/")
    assert PAGES[name]["says"]


def test_a_page_of_threads_becomes_comments_and_the_channels_reply() -> None:
    page = Poller().threads("threads")
    assert short(page.interactions) == [
        (TOP, "comment", ADA, "Is the Yirgacheffe back?"),
        (f"{TOP}.9reply1", "comment", BEN, "It is"),
        (f"{TOP}.9reply2", "reply", ROASTERY, "Since Monday!"),
        ("UgyPicture0000000003AaABAg", "comment", BEN, None),
        ("UgyGone000000000004AaABAg", "comment", "unknown:UgyGone000000000004AaABAg", "Still shipping?"),
    ]
    asked, answered, reply, picture, _ = page.interactions
    assert asked.occurred_at == datetime(2026, 11, 29, 10, tzinfo=UTC)
    assert {(one.conversation, one.thread, one.post) for one in page.interactions} == {(VIDEO, VIDEO, VIDEO)}
    assert (asked.parent, answered.parent, reply.parent) == (None, Parent(TOP), Parent(TOP))
    assert asked.object.url == f"https://www.youtube.com/watch?v={VIDEO}&lc={TOP}"
    assert (asked.actor.handle, asked.actor.name, picture.actor.name) == ("ada.lovelace", None, "Ben Bitdiddle")
    assert picture.media == ("image",)
    assert (page.next, [thread.more for thread in page.threads]) == ("QURTSl9p", [True, False, False, False])
    assert len(page.seen) == 6, "what says nothing was seen too"


def test_what_a_channel_made_public_is_its_post_and_what_was_told_before_is_not_told_again() -> None:
    page = uploads(body("uploads"), watched(), None, NOW)
    assert [(one.id, one.kind, one.actor.id, one.text, one.media) for one in page.interactions] == [
        (VIDEO, "post", ROASTERY, "How we roast\n\nFrom bean to cup. #coffee", ("video",)),
        ("aaaaaaaaaaa", "post", ROASTERY, "A short", ("video",)),
    ]
    first, second = page.interactions
    assert (first.conversation, first.thread, first.post) == (VIDEO, VIDEO, VIDEO)
    assert first.object.url == f"https://www.youtube.com/watch?v={VIDEO}"
    assert first.occurred_at == datetime(2026, 11, 28, 10, tzinfo=UTC), "when it became public"
    assert page.next == "CAUQAA"
    assert [one.id for one in uploads(body("uploads"), watched(), second.occurred_at, NOW).interactions] == [VIDEO]


def test_a_channel_says_which_list_has_its_uploads() -> None:
    whole = {"items": [{"contentDetails": {"relatedPlaylists": {"likes": "", "uploads": "UUroastery"}}}]}
    assert uploads_of(json.dumps(whole).encode()) == "UUroastery"
    assert uploads_of(b'{"items": []}') is None
    with pytest.raises(UnreadableError, match="600 characters"):
        uploads_of(json.dumps(whole).replace("UUroastery", "U" * 600).encode())


def test_an_answer_names_the_comments_that_are_there_or_is_refused_as_a_whole() -> None:
    assert ids(body("by-id")) == {TOP, f"{TOP}.9reply1"}
    assert ids(b'{"items": []}') == set()
    for odd_one in ('{"items": [{}]}', '{"items": [{"id": null}]}', '{"items": [], "nextPageToken": "more"}', "{}"):
        with pytest.raises(UnreadableError):
            ids(odd_one.encode())


def test_videos_say_how_many_comments_they_have_and_none_where_they_are_off() -> None:
    assert comment_counts(body("videos")) == {VIDEO: 12, "aaaaaaaaaaa": 0, "bbbbbbbbbbb": 0}
    with pytest.raises(UnreadableError):
        comment_counts(b'{"items": [{"statistics": {}}]}')


def test_a_comment_is_hidden_since_it_was_missing_and_shown_since_it_was_seen_again() -> None:
    missed_at = NOW - timedelta(minutes=10)
    gone = hiding("hide", TOP, VIDEO, VIDEO, missed_at, watched(), NOW)
    back = hiding("unhide", TOP, VIDEO, VIDEO, missed_at, watched(), NOW)
    assert (gone.id, back.id) == (f"{TOP}#hide-2026-11-29T11:50:00+00:00", f"{TOP}#unhide-2026-11-29T11:50:00+00:00")
    assert (gone.occurred_at, gone.occurred_at_source, back.occurred_at) == (missed_at, "receipt", NOW)
    assert (gone.object.id, gone.conversation, gone.post, gone.actor.id) == (TOP, VIDEO, VIDEO, ROASTERY)


def test_somebody_of_the_staff_replies_for_the_channel() -> None:
    found = Poller(BEN).threads("threads").interactions
    assert (f"{TOP}.9reply1", "reply", BEN, "It is") in short(found)
    assert [one.id for one in found if one.actor.id == BEN] == [f"{TOP}.9reply1"]


def test_the_same_page_again_says_nothing_new() -> None:
    poller = Poller()
    before = poller.threads("threads")
    again = poller.threads("threads")
    assert again.interactions == []
    assert [thread.unseen for thread in before.threads] == [True, False, False, False]
    seen = [thread._replace(unseen=False) for thread in before.threads]
    assert (again.seen, again.threads, again.next) == (before.seen, seen, before.next)


def test_without_a_memory_the_same_page_has_the_same_ids() -> None:
    assert Poller().threads("threads").interactions == Poller().threads("threads").interactions


def test_all_replies_bring_the_one_that_the_thread_did_not_have_and_know_their_video_from_it() -> None:
    poller = Poller()
    poller.threads("threads")
    (found,) = poller.replies("replies").interactions
    assert short([found]) == [(f"{TOP}.9reply3", "comment", ADA, "@ben thanks")]
    assert (found.parent, found.conversation, found.post) == (Parent(TOP), VIDEO, VIDEO)


def test_the_channel_answers_whom_it_names_and_below_its_own_comment_the_only_one_there() -> None:
    found = [one for one in Poller().threads("answers").interactions if one.kind == "reply"]
    pinned, asked, other = (thread.id for thread in Poller().threads("answers").threads)
    assert [(one.text, one.parent) for one in found] == [
        ("Good idea", Parent(f"{pinned}.1", ADA)),
        ("@ben Since Monday!", Parent(f"{asked}.1", BEN)),
        ("@ada.lovelace, it is", Parent(asked, ADA)),
        ("@somebody hello", Parent(asked)),
        ("At ten", Parent(other)),
    ]


def test_below_the_channels_comment_the_page_of_all_replies_knows_whose_that_is() -> None:
    thread = Poller().threads("answers").threads[0]
    raw = PAGES["answers"]["page"]["items"][0]["replies"]["comments"]
    page = below(thread, watched(), never, json.dumps({"items": raw}).encode())
    assert [one.parent for one in page.interactions] == [Parent(thread.id), Parent(f"{thread.id}.1", ADA)]


@pytest.mark.parametrize("turned", [False, True], ids=["oldest first", "newest first"])
def test_the_channel_answers_whom_it_names_though_that_one_is_on_another_page(turned: bool) -> None:
    thread = Poller().threads("answers").threads[1]
    raw = PAGES["answers"]["page"]["items"][1]["replies"]["comments"]
    pages = [json.dumps({"items": [each]}).encode() for each in (raw[::-1] if turned else raw)]
    found = {one.text: one.parent for one in below(thread, watched(), never, *pages).interactions}
    assert found["@ben Since Monday!"] == Parent(f"{thread.id}.1", BEN)


def test_a_reply_is_the_same_whichever_page_has_it() -> None:
    ids = (f"{TOP}.9reply1", f"{TOP}.9reply2")
    from_threads = [one for one in Poller().threads("threads").interactions if one.id in ids]
    assert [one for one in Poller().replies("replies").interactions if one.id in ids] == from_threads


def test_of_a_thread_whose_replies_are_read_apart_the_page_tells_the_comment_on_top_alone() -> None:
    page = threads(body("threads"), watched(), never, NOW, lambda thread: thread.more)
    assert [one.id for one in page.interactions][:2] == [TOP, "UgyPicture0000000003AaABAg"]


def test_an_edit_is_told_once_at_its_own_time_and_a_changed_picture_too() -> None:
    poller = Poller()
    poller.threads("threads")
    edit, picture = poller.threads("threads-later").interactions
    assert short([edit]) == [
        (f"{TOP}#edit-2026-11-29T11:00:00+00:00", "edit", ADA, "Is the Yirgacheffe back in Lisbon?")
    ]
    assert (edit.object.id, edit.occurred_at.hour, edit.conversation) == (TOP, 11, VIDEO)
    assert (picture.kind, picture.media, picture.object.id) == ("edit", (), "UgyPicture0000000003AaABAg")
    assert poller.threads("threads-later").interactions == []


def test_an_older_page_takes_no_edit_back() -> None:
    poller = Poller()
    poller.threads("threads-later")
    assert TOP not in {one.object.id for one in poller.threads("threads").interactions}
    assert poller.seen[TOP].updated_at == datetime(2026, 11, 29, 11, tzinfo=UTC)


def test_what_was_edited_before_it_was_seen_is_a_comment_of_when_it_was_written() -> None:
    found = Poller().threads("threads-later").interactions[0]
    assert (found.id, found.kind, found.occurred_at.hour) == (TOP, "comment", 10)
    assert found.text == "Is the Yirgacheffe back in Lisbon?"


def test_comments_stand_under_posts_and_on_the_channel_too_and_not_under_what_others_have() -> None:
    page = Poller().threads("other-places")
    assert [(one.id, one.conversation, one.post) for one in page.interactions] == [
        ("UgkPost", "Ugkxpost1", "Ugkxpost1"),
        ("UgkChannel", ROASTERY, None),
    ]
    assert page.ignored == {"thread of another channel": 1}
    assert {one.object.url for one in page.interactions} == {None}


def test_what_is_damaged_is_named_and_the_others_are_read() -> None:
    page = Poller().threads("damaged")
    assert [(one.id, one.occurred_at_source) for one in page.interactions] == [
        ("UgyFirst", "platform"), ("UgyNoTime", "receipt"), ("UgyLast", "platform"), ("UgyLast.1", "platform"),
    ]  # fmt: skip
    assert [problem.where for problem in page.problems] == [
        "items[1]", "items[2]", "items[3].topLevelComment", "items[5].topLevelComment", "items[6].topLevelComment",
        "items[7]", "items[8].replies[1]",
    ]  # fmt: skip
    assert page.unread == 7


def test_null_says_as_little_as_what_is_left_out() -> None:
    page = json.loads(body("threads"))
    expected = threads(json.dumps(page).encode(), watched(), never, NOW).interactions
    for each in page["items"]:
        each["snippet"].pop("totalReplyCount", None)
        each.setdefault("replies", {"comments": None})
        each["snippet"]["totalReplyCount"] = None
    found = threads(json.dumps({**page, "nextPageToken": None}).encode(), watched(), never, NOW)
    assert (found.interactions, found.unread, found.next) == (expected, 0, None)


def test_the_text_as_it_is_shown_stands_in_for_the_original() -> None:
    assert Poller().threads("html").interactions[0].text == "Ada &amp; Ben"


@pytest.mark.parametrize(
    "page", [b"", b"[]", b'{"error": {"code": 403}}', b'{"items": 1}', b"[" * 200_000, b'{"items":' * 100_000]
)
def test_what_is_no_page_is_refused(page: bytes) -> None:
    with pytest.raises(UnreadableError):
        threads(page, watched(), never, NOW)
    with pytest.raises(UnreadableError):
        replies(page, THREAD, watched(), never, NOW)


def test_so_many_comments_are_too_many() -> None:
    page = json.loads(body("threads"))
    thread = page["items"][0]
    thread["replies"]["comments"] = [{}] * MOST_CHANGES
    with pytest.raises(UnreadableError, match="at once"):
        threads(json.dumps(page).encode(), watched(), never, NOW)
    with pytest.raises(UnreadableError, match="at once"):
        replies(json.dumps({"items": [{}] * (MOST_CHANGES + 1)}).encode(), THREAD, watched(), never, NOW)


odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(["", "\x00", "9" * 600, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-1"]),
    st.just([]), st.just({}), st.lists(st.integers(), max_size=3),
)  # fmt: skip


def _named(page: bytes, *_: object) -> Page:
    ids(page)
    return Page()


def _counted(page: bytes, *_: object) -> Page:
    comment_counts(page)
    return Page()


def _uploaded(page: bytes, by: Watched, _: object, now: datetime) -> Page:
    uploads_of(page)
    return uploads(page, by, None, now)


@pytest.mark.parametrize("name", PAGES)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_stands_in_a_place_nothing_else_is_raised_and_all_of_it_can_be_taken(
    name: str, data: st.DataObject
) -> None:
    page = PAGES[name]["page"]
    damaged = json.dumps(changed(page, data.draw(st.sampled_from(places(page))), data.draw(odd))).encode()
    known = data.draw(st.sampled_from([None, Fingerprint(None, image=True), Fingerprint(NOW, image=False)]))
    for read in (threads, lambda page, by, find, _: below(THREAD, by, find, page), _uploaded, _named, _counted):
        try:
            found = read(damaged, watched(), lambda _: known, NOW)
        except UnreadableError:
            continue
        for interaction in found.interactions:
            if len(interaction.id) <= 512 and len(interaction.actor.id) <= 512 and len(interaction.conversation) <= 512:
                record_of(fit(interaction))
