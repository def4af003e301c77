"""What changes mean where the real network is slow to bring them about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rapport.contracts.events import Account, Interaction, Parent
from services.ingest.connectors import bluesky
from services.ingest.connectors.bluesky.frames import DID, FOLLOW, LIKE, POST, REPOST, Change
from services.ingest.connectors.bluesky.normalise import Watched, deleted, written
from services.ingest.connectors.bluesky.records import Reference, read
from services.ingest.connectors.seen import Seen

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ACME, SISTER, FAN, OTHER, GRACE = (f"did:plc:{name}" for name in ("acme", "sister", "fan", "other", "grace"))
ACCOUNT = Account(
    id="acme-bsky", platform="bluesky", handle="acme.example", connected_at=NOW, door_secrets=(), staff=(GRACE,)
)
WATCHED = Watched("acme", ACCOUNT, ACME, frozenset({ACME, SISTER}))
BRANDS_POST = f"at://{ACME}/{POST}/post1"
FANS_POST = f"at://{FAN}/{POST}/post2"


class Story:
    """Changes one after the other, with what was noted of those before."""

    def __init__(self) -> None:
        self.noted: dict[str, Seen] = {}

    def tell(self, change: Change) -> Interaction | None:
        record = read(change)
        fact = written(record, WATCHED, self.noted.get, NOW) if record else None
        if fact is None:
            return None
        self.noted[change.uri] = fact[1]
        return fact[0]


def post(did: str, rkey: str = "p", *, reply: tuple[str, str] | None = None, **more: Any) -> Change:
    record = {"$type": POST, "text": "Hello", "createdAt": "2026-11-23T11:00:00.000Z", **more}
    if reply:
        record["reply"] = {"root": {"uri": reply[0], "cid": "r"}, "parent": {"uri": reply[1], "cid": "p"}}
    return Change(did, "create", POST, rkey, "rev1", NOW, f"cid-{rkey}", record)


def test_the_id_is_the_address_and_the_version() -> None:
    found = Story().tell(post(FAN, reply=(BRANDS_POST, BRANDS_POST)))
    assert found is not None
    assert (found.id, found.object.id) == (f"at://{FAN}/{POST}/p#cid-p", f"at://{FAN}/{POST}/p")
    assert found.object.url == f"https://bsky.app/profile/{FAN}/post/p"


def test_another_account_of_the_brand_is_no_follower() -> None:
    assert Story().tell(post(SISTER, reply=(BRANDS_POST, BRANDS_POST))) is None


def test_somebody_of_the_staff_replies_for_the_brand_in_its_thread_and_is_no_follower() -> None:
    story = Story()
    fans = f"at://{FAN}/{POST}/comment"
    reply = story.tell(post(GRACE, "r1", reply=(BRANDS_POST, fans)))
    assert reply is not None
    assert (reply.kind, reply.actor.id, reply.thread) == ("reply", GRACE, BRANDS_POST)
    assert reply.parent is not None
    assert (reply.parent.id, reply.parent.actor) == (fans, FAN)
    assert story.tell(post(GRACE, "r2", reply=(BRANDS_POST, BRANDS_POST))) is None
    assert story.tell(post(GRACE, "r3", reply=(FANS_POST, f"at://{ACME}/{POST}/answer"))) is None
    like = {"subject": {"uri": BRANDS_POST, "cid": "c"}}
    assert story.tell(Change(GRACE, "create", LIKE, "l", "rev1", NOW, "cid", like)) is None


def test_what_the_brand_answers_to_its_staff_is_for_whom_these_answered_or_for_nobody() -> None:
    story = Story()
    fans = f"at://{FAN}/{POST}/comment"
    story.tell(post(GRACE, "r1", reply=(BRANDS_POST, fans)))
    added = story.tell(post(ACME, "r2", reply=(BRANDS_POST, f"at://{GRACE}/{POST}/r1")))
    assert added is not None
    assert (added.kind, added.parent) == ("reply", Parent(fans, FAN))
    for root in (BRANDS_POST, FANS_POST):
        alone = story.tell(post(ACME, "r3", reply=(root, f"at://{GRACE}/{POST}/chat")))
        assert alone is not None
        assert alone.kind == "post"


@pytest.mark.parametrize(
    ("collection", "subject", "kind"),
    [(LIKE, FANS_POST, "reaction"), (REPOST, FANS_POST, "share"), (FOLLOW, FAN, "follow")],
)
def test_what_the_brand_likes_shares_or_follows_is_the_staffs_and_so_is_its_undoing(
    collection: str, subject: str, kind: str
) -> None:
    story = Story()
    record = {"subject": subject if collection == FOLLOW else {"uri": subject, "cid": "c"}}
    found = story.tell(Change(ACME, "create", collection, "x", "rev1", NOW, "cid", record))
    assert found is not None
    assert (found.kind, found.staff, found.actor.id, found.post) == (kind, True, ACME, None)
    assert found.parent == Parent(subject, FAN)
    change = Change(ACME, "delete", collection, "x", "rev2", NOW, None, None)
    undone = deleted(change, story.noted[change.uri], WATCHED, NOW)
    assert (undone.kind, undone.undo, undone.staff, undone.parent) == (kind, True, True, found.parent)
    assert undone.object.id == found.object.id


@pytest.mark.parametrize("did", [ACME, SISTER, GRACE])
def test_what_the_brand_likes_of_its_own_is_nothing(did: str) -> None:
    like = {"subject": {"uri": f"at://{did}/{POST}/x", "cid": "c"}}
    assert Story().tell(Change(ACME, "create", LIKE, "l", "rev1", NOW, "cid", like)) is None


def test_a_like_of_a_followers_is_no_outreach() -> None:
    like = {"subject": {"uri": BRANDS_POST, "cid": "c"}}
    found = Story().tell(Change(FAN, "create", LIKE, "l", "rev1", NOW, "cid", like))
    assert found is not None
    assert (found.kind, found.staff, found.post, found.parent) == ("reaction", False, BRANDS_POST, None)


def test_a_comment_below_the_brands_answer_in_a_strangers_thread_is_a_comment() -> None:
    answer = f"at://{ACME}/{POST}/answer"
    found = Story().tell(post(OTHER, reply=(FANS_POST, answer)))
    assert found is not None
    assert (found.kind, found.thread, found.post) == ("comment", FANS_POST, None)


def test_a_continued_answer_whose_first_part_is_forgotten_answers_the_threads_author() -> None:
    found = Story().tell(post(ACME, reply=(FANS_POST, f"at://{ACME}/{POST}/forgotten")))
    assert found is not None
    assert found.kind == "reply"
    assert found.parent is not None
    assert (found.parent.id, found.parent.actor) == (FANS_POST, FAN)


def test_a_time_that_is_none_leaves_when_the_network_saw_it_however_much_later_that_is_read() -> None:
    seen_at = NOW - timedelta(hours=6)
    for created_at in ("yesterday", None, 7, "2026-11-23T11:00:00"):
        said = post(FAN, reply=(BRANDS_POST, BRANDS_POST), createdAt=created_at)
        found = Story().tell(replace(said, at=seen_at))
        assert found is not None
        assert (found.occurred_at, found.occurred_at_source) == (seen_at, "platform")


def test_a_forged_future_is_set_back_and_flagged() -> None:
    found = Story().tell(post(FAN, reply=(BRANDS_POST, BRANDS_POST), createdAt="2030-01-01T00:00:00Z"))
    assert found is not None
    assert (found.occurred_at, found.clamped) == (NOW, True)


@pytest.mark.parametrize(
    ("embed", "media"),
    [
        ({"$type": "app.bsky.embed.images", "images": [{}, {}]}, ("image",)),
        ({"$type": "app.bsky.embed.gallery", "media": [{}]}, ("image",)),
        ({"$type": "app.bsky.embed.video"}, ("video",)),
        ({"$type": "app.bsky.embed.external"}, ("link",)),
        (
            {
                "$type": "app.bsky.embed.recordWithMedia",
                "media": {"$type": "app.bsky.embed.images"},
                "record": {"$type": "app.bsky.embed.record", "record": {"uri": FANS_POST}},
            },
            ("image",),
        ),
        ({"$type": ["app.bsky.embed.images"], "media": 7, "record": {"record": "x"}}, ()),
    ],
)
def test_media_come_from_what_is_embedded(embed: dict[str, Any], media: tuple[str, ...]) -> None:
    found = Story().tell(post(ACME, embed=embed))
    assert found is not None
    assert (found.kind, found.media) == ("post", media)


def test_a_quote_with_a_mention_is_a_mention() -> None:
    quote = {"$type": "app.bsky.embed.record", "record": {"uri": BRANDS_POST, "cid": "c"}}
    mention = [{"index": {}, "features": [{"$type": "app.bsky.richtext.facet#mention", "did": ACME}]}]
    both = Story().tell(post(FAN, embed=quote, facets=mention))
    quoted = Story().tell(post(FAN, embed=quote))
    assert both is not None
    assert quoted is not None
    assert (both.kind, quoted.kind, quoted.post) == ("mention", "share", BRANDS_POST)


def test_an_edit_seen_twice_is_the_same_edit_and_the_original_read_again_is_no_edit() -> None:
    story = Story()
    original = post(FAN, reply=(BRANDS_POST, BRANDS_POST))
    edit = replace(original, operation="update", rev="rev2", cid="cid-2", at=NOW + timedelta(seconds=1))
    told = [story.tell(change) for change in (original, edit, original, edit)]
    assert [one.kind for one in told if one] == ["comment", "edit", "comment", "edit"]
    assert len({one.id for one in told if one}) == 2


def test_an_edit_of_what_was_never_seen_is_the_comment() -> None:
    story = Story()
    edit = replace(post(FAN, reply=(BRANDS_POST, BRANDS_POST)), operation="update")
    first, again = story.tell(edit), story.tell(edit)
    assert first is not None
    assert first == again
    assert first.kind == "comment"


def test_an_edit_that_takes_the_mention_out_still_belongs_to_it() -> None:
    story = Story()
    mention = [{"index": {}, "features": [{"$type": "app.bsky.richtext.facet#mention", "did": ACME}]}]
    named = story.tell(post(FAN, facets=mention))
    edited = story.tell(replace(post(FAN), operation="update", rev="rev2"))
    assert named is not None
    assert edited is not None
    assert (edited.kind, edited.conversation, edited.thread) == ("edit", named.conversation, named.thread)


@pytest.mark.parametrize(
    "record",
    [{}, {"subject": "x"}, {"subject": {"uri": 7}}, {"subject": {"uri": f"at://{ACME}"}}, {"subject": {"uri": "acme"}}],
)
def test_a_like_of_nothing_is_nothing(record: dict[str, Any]) -> None:
    assert Story().tell(Change(FAN, "create", LIKE, "l", "rev1", NOW, "cid", record)) is None


@pytest.mark.parametrize(
    ("claimed", "at", "source"),
    [
        (NOW - timedelta(days=2), NOW, "platform"),
        (NOW - timedelta(days=40), NOW, "platform"),
        (NOW - timedelta(minutes=3), NOW, "platform"),
        (NOW + timedelta(hours=3), NOW, "author"),
        (NOW + timedelta(minutes=4, seconds=30), NOW, "platform"),
        (NOW - timedelta(seconds=90), NOW - timedelta(seconds=90), "author"),
    ],
)
def test_live_a_thing_occurred_when_the_platform_saw_it_or_hardly_before(
    claimed: datetime, at: datetime, source: str
) -> None:
    said = post(FAN, reply=(BRANDS_POST, BRANDS_POST), createdAt=claimed.isoformat())
    found = Story().tell(said)
    assert found is not None
    assert (found.occurred_at, found.occurred_at_source) == (at, source)
    assert found.claimed_at == (None if claimed == at else claimed)


def test_what_was_written_before_the_account_was_connected_has_its_authors_time() -> None:
    claimed = NOW - timedelta(days=2)
    said = replace(
        post(FAN, reply=(BRANDS_POST, BRANDS_POST), createdAt=claimed.isoformat()), at=NOW - timedelta(minutes=1)
    )
    found = Story().tell(said)
    assert found is not None
    assert (found.occurred_at, found.occurred_at_source) == (claimed, "author")


@pytest.mark.parametrize(
    ("did", "is_one"),
    [
        (ACME, True),
        (f"did:plc:{'a' * 256}", True),
        (f"did:plc:{'a' * 257}", False),
        (f"did:{'a' * 33}:acme", False),
        ("did:web:acme.example", True),
        ("did:web:localhost%3A2583", True),
        ("did:plc:", False),
        ("did:plc:acme:", False),
        ("did:plc:acme%", False),
        ("did:plc:acme/..", False),
        ("did:plc:ac me", False),
        ("did:plc:acme\n", False),
    ],
)
def test_what_a_did_is_does_not_depend_on_where_it_stands(did: str, is_one: bool) -> None:
    assert (DID.fullmatch(did) is not None) is is_one
    assert Reference.to(f"at://{did}/{POST}/3k").author == (did if is_one else None)


def test_what_a_did_is_stands_in_one_place() -> None:
    sources = [file.read_text() for file in sorted(Path(bluesky.__path__[0]).glob("*.py"))]
    assert sum(source.count("did:[") for source in sources) == 1
