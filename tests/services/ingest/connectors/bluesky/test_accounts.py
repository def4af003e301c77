"""Who answers for a brand: any of its accounts, wherever the comment was noted, and its staff."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rapport.contracts.events import Account, Interaction
from rapport.domain.exchanges.addressing import key
from rapport.domain.times import ms
from services.ingest.connectors.bluesky.facts import Facts
from services.ingest.connectors.bluesky.frames import POST, THREADGATE, Change
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.seen import Seen, UnsavedLedger
from tests.services.scorer import story

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MAIN, SUPPORT, FAN, GRACE = (f"did:plc:{name}" for name in ("main", "support", "fan", "grace"))
ROOT, COMMENT, FANS_OWN = f"at://{MAIN}/{POST}/root", f"at://{FAN}/{POST}/comment", f"at://{FAN}/{POST}/own"


class Nothing:
    """What was noted before: nothing."""

    def find(self, uri: str) -> list[Seen]:
        return []

    def known_to(self, follower: str) -> set[str]:
        return set()


class Told:
    """What a stream brings for a brand with these accounts, scored."""

    def __init__(self, *dids: str) -> None:
        self.ledger = UnsavedLedger(Nothing())
        self.accounts(*dids)
        self._scored: dict[bytes, story.Story] = {}

    def accounts(self, *dids: str) -> None:
        self.facts = Facts([
            Watched(
                "acme", Account(id=did[8:], platform="bluesky", handle=did[8:], connected_at=NOW - timedelta(days=9),
                door_secrets=(), staff=(GRACE,)), did, frozenset(dids), dids[0],
            )
            for did in dids
        ])  # fmt: skip

    def tell(self, change: Change) -> list[Interaction]:
        found = self.facts.of(change, self.ledger, change.at)
        for one in found:
            self._scored.setdefault(key(one), story.Story()).tell(one, ms(one.observed_at))
        return found

    def states(self) -> list[str]:
        for each in self._scored.values():
            each.tick(ms(NOW + timedelta(hours=30)))
        return [one.state for each in self._scored.values() for one in each.now()]


def post(
    did: str, rkey: str, hour: int = 0, *, to: tuple[str, str] | None = None, naming: tuple[str, ...] = ()
) -> Change:
    at = NOW + timedelta(hours=hour)
    record: dict[str, Any] = {"$type": POST, "text": "Hello", "createdAt": at.isoformat()}
    if to:
        record["reply"] = {"root": {"uri": to[0], "cid": "r"}, "parent": {"uri": to[1], "cid": "p"}}
    features = [{"$type": "app.bsky.richtext.facet#mention", "did": did} for did in naming]
    record["facets"] = [{"index": {"byteStart": 0, "byteEnd": 1}, "features": features}]
    return Change(did, "create", POST, rkey, f"rev{rkey}", at, f"cid{rkey}", record)


def test_one_of_the_brands_accounts_answers_what_was_said_to_another() -> None:
    told = Told(MAIN, SUPPORT)
    [comment] = told.tell(post(FAN, "comment", to=(ROOT, ROOT)))
    [answer] = told.tell(post(SUPPORT, "answer", 1, to=(ROOT, COMMENT)))
    assert (answer.kind, answer.account, answer.post) == ("reply", "support", ROOT)
    assert key(answer) == key(comment)
    [more] = told.tell(post(MAIN, "more", 2, to=(ROOT, f"at://{SUPPORT}/{POST}/answer")))
    assert (more.kind, more.parent) == ("reply", answer.parent)
    assert told.states() == ["answered"]


def test_a_comment_that_concerns_two_of_the_brands_accounts_waits_once_for_the_one_in_whose_thread_it_is() -> None:
    for answers in (MAIN, SUPPORT):
        told = Told(SUPPORT, MAIN)
        comment, mention = told.tell(post(FAN, "comment", to=(ROOT, ROOT), naming=(SUPPORT,)))
        assert (comment.kind, comment.account, mention.id) == ("comment", "main", comment.id)
        told.tell(post(answers, "answer", 1, to=(ROOT, COMMENT)))
        assert told.states() == ["answered"]


def test_a_brand_with_one_account_keeps_its_conversations() -> None:
    [comment] = Told(MAIN).tell(post(FAN, "comment", to=(ROOT, ROOT)))
    assert comment.conversation == f"{MAIN}:{FAN}"


def test_what_was_open_when_the_brand_got_another_account_still_meets_what_becomes_of_it() -> None:
    for before, after in (((MAIN,), (MAIN, SUPPORT)), ((MAIN, SUPPORT), (MAIN,))):
        told = Told(*before)
        [comment] = told.tell(post(FAN, "comment", to=(ROOT, ROOT)))
        told.accounts(*after)
        assert [key(one) for one in told.tell(post(FAN, "comment", to=(ROOT, ROOT)))] == [key(comment)]
        edit = Change(FAN, "update", POST, "comment", "rev9", NOW, "cid9", {"$type": POST, "text": "Well?"})
        hidden = {"$type": THREADGATE, "post": ROOT, "createdAt": NOW.isoformat(), "hiddenReplies": [COMMENT]}
        gate = Change(MAIN, "create", THREADGATE, "root", "rev10", NOW, "cid10", hidden)
        answer = post(after[-1], "answer", 1, to=(ROOT, COMMENT))
        for change in (edit, gate, answer, Change(FAN, "delete", POST, "comment", "rev11", NOW, None, None)):
            assert [key(one) for one in told.tell(change)] == [key(comment)], change


def test_a_thread_goes_on_where_it_began_when_the_brand_gets_another_account_or_loses_one() -> None:
    for before, after in (((MAIN,), (MAIN, SUPPORT)), ((MAIN, SUPPORT), (MAIN,))):
        told = Told(*before)
        [comment] = told.tell(post(FAN, "comment", to=(ROOT, ROOT)))
        told.accounts(*after)
        [another] = told.tell(post(FAN, "another", 1, to=(ROOT, ROOT)))
        [answer] = told.tell(post(MAIN, "answer", 2, to=(ROOT, f"at://{FAN}/{POST}/another")))
        assert key(comment) == key(another) == key(answer)
        assert told.states() == ["answered"]


def test_staff_answer_a_mention_in_the_followers_own_thread() -> None:
    told = Told(MAIN)
    assert told.tell(post(GRACE, "chat", to=(FANS_OWN, FANS_OWN))) == [], "it is not said to the brand"
    [mention] = told.tell(post(FAN, "own", naming=(MAIN,)))
    [answer] = told.tell(post(GRACE, "answer", 1, to=(FANS_OWN, FANS_OWN)))
    assert (answer.kind, answer.actor.id, key(answer)) == ("reply", GRACE, key(mention))
    [more] = told.tell(post(GRACE, "more", 2, to=(FANS_OWN, f"at://{GRACE}/{POST}/answer")))
    assert more.parent == answer.parent
    assert told.states() == ["answered"]
