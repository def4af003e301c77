"""The ledger's naive bookkeeping: small stories, and the product's own rules on the whole recording."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rapport.demo.recording.generator import record
from rapport.demo.recording.ledger import expected_of
from rapport.domain.exchanges.exchange import Answer, Comment, Facts, Rules, exchanges
from rapport.domain.policies.policy import Subject, terms

START = datetime(2026, 11, 1, 9, tzinfo=UTC)


def body(kind: str, id: str, hours: float, **more: Any) -> dict[str, Any]:
    actor = {"id": "ada", "handle": "ada"} if kind not in ("reply", "hide") else {"id": "team"}
    occurred_at = (START + timedelta(hours=hours)).isoformat()
    return {"id": id, "kind": kind, "actor": actor, "thread": "t", "occurred_at": occurred_at, **more}


def answer(id: str, hours: float, to: str) -> dict[str, Any]:
    return body("reply", id, hours, parent={"id": to, "actor": "ada"})


def outcomes(*bodies: dict[str, Any]) -> list[tuple[str, str]]:
    found = expected_of({"mastodon": list(bodies)}, START - timedelta(days=1)).exchanges
    return [(one.first, one.state) for one in found]


def test_an_answer_within_the_day_is_in_time_and_after_it_is_late() -> None:
    assert outcomes(body("comment", "c", 0), answer("r", 24, "c")) == [("c", "answered")]
    assert outcomes(body("comment", "c", 0), answer("r", 24.1, "c")) == [("c", "answered_late")]


def test_later_comments_join_until_the_answer_and_open_a_new_exchange_after_it() -> None:
    told = [body("comment", "a", 0), body("comment", "b", 1), answer("r", 2, "b"), body("comment", "c", 3)]

    assert outcomes(*told) == [("a", "answered"), ("c", "open")]
    assert outcomes(*reversed(told), *told) == [("a", "answered"), ("c", "open")]


def test_a_deleted_comment_hands_its_clock_to_the_next_or_is_cancelled() -> None:
    gone = body("delete", "d", 2, object={"id": "a"})

    assert outcomes(body("comment", "a", 0), gone) == [("a", "cancelled")]
    assert outcomes(body("comment", "a", 0), body("comment", "b", 1), gone) == [("b", "open")]


def test_deleting_what_was_answered_changes_nothing() -> None:
    gone = body("delete", "d", 3, object={"id": "a"})

    assert outcomes(body("comment", "a", 0), answer("r", 2, "a"), gone) == [("a", "answered")]


def test_what_was_hidden_and_what_was_taken_back_belong_to_their_followers() -> None:
    hidden = body("hide", "h", 1, object={"id": "a"})
    liked, unliked = body("reaction", "l", 1), body("reaction", "u", 2, undo=True, object={"id": "l"})
    told = [body("comment", "a", 0), body("comment", "b", 0), hidden, liked, unliked]
    expected = expected_of({"mastodon": told}, START)

    assert expected.followers == {("mastodon", "ada")}
    assert expected.undone == {"reaction": 1}
    assert expected.interactions == {"comment": 2, "hide": 1, "reaction": 1}
    assert expected.counts == {"comment": 1}


def test_what_a_person_does_to_a_thing_counts_once_as_long_as_any_record_of_it_stands() -> None:
    likes = [body("reaction", name, 1, post="p") for name in ("l1", "l2", "l3")]
    other = body("reaction", "l4", 1, post="q")
    follows = [body("follow", name, 1) for name in ("f1", "f2")]
    undone = body("reaction", "u", 2, undo=True, object={"id": "l1"}, post="p")
    assert expected_of({"mastodon": [*likes, other, *follows, undone]}, START).counts == {"reaction": 2, "follow": 1}


def test_the_ledger_of_the_recording_and_the_rules_of_the_product_agree() -> None:
    now = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
    recording = record(now)
    for brand in recording.brands:
        ruled: list[tuple[str, str, str, datetime]] = []
        for account in brand.accounts:
            ruled.extend(by_the_rules(account.platform, recording.deliveries[account.id], now))
        booked = [(one.platform, one.first, one.state, one.due_at) for one in recording.expected[brand.id].exchanges]
        assert sorted(ruled) == sorted(booked)


def by_the_rules(platform: str, sent: list[dict[str, Any]], now: datetime) -> list[tuple[str, str, str, datetime]]:
    comments: dict[tuple[str, str], dict[str, Comment]] = defaultdict(dict)
    answers: dict[tuple[str, str], dict[str, Answer]] = defaultdict(dict)
    removed: dict[str, int] = {}
    for one in sent:
        at = round(datetime.fromisoformat(one["occurred_at"]).timestamp() * 1000)
        kind = one["kind"]
        if kind in ("comment", "mention", "message"):
            lane = (one["thread"], one["actor"]["id"])
            comments[lane][one["id"]] = Comment(one["id"], kind, at, at, "account", one["conversation"])
        elif kind == "reply":
            lane = (one["thread"], one["parent"]["actor"])
            answers[lane][one["id"]] = Answer(one["id"], at, "team", one["parent"]["id"])
        elif kind in ("delete", "hide"):
            removed[one["object"]["id"]] = at
    found: list[tuple[str, str, str, datetime]] = []
    for lane, said in comments.items():
        for comment in said.values():
            if comment.id in removed:
                comment.removed, comment.removed_because = removed[comment.id], "deleted"
        rules = Rules(
            terms_of=lambda comment: terms([], Subject(comment.at, platform, comment.kind, "account")),
            backfilled=lambda _: False,
            disconnected=lambda _: None,
            grace=0,
        )
        for exchange in exchanges(Facts(said.values(), answers[lane].values()), rules, round(now.timestamp() * 1000)):
            due = datetime.fromtimestamp(exchange.due / 1000, UTC)
            found.append((platform, exchange.first.id, exchange.state, due))
    return found
