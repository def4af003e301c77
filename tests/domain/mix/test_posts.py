"""What a post brought: likes and shares count once per person, however many records say so."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rapport.domain.mix import posts as published
from tests.domain.figures import brought

START = datetime(2026, 11, 1, tzinfo=UTC)


def like(id: str, **more: Any) -> published.PostFact:
    its: dict[str, Any] = {"at": START, "kind": "reaction", "object": id, "follower": "f", "post": "p", **more}
    return published.PostFact(id=id, **its)


def test_three_likes_of_one_person_on_one_post_are_one_reaction() -> None:
    three = [like("1"), like("2"), like("3")]
    assert brought(three, ())["reactions"] == 1
    assert brought([*three, like("u", object="2", undo=True, at=START + timedelta(1))], ())["reactions"] == 1
    gone = [like(f"u{number}", object=str(number), undo=True, at=START + timedelta(1)) for number in (1, 2, 3)]
    assert brought([*three, *gone], ())["reactions"] == 0
    assert brought([*three, like("4", follower="g"), like("5", parent="comment")], ())["reactions"] == 3


def test_reposts_of_one_post_are_one_share_and_quotes_are_each_their_own() -> None:
    plain = [like("1", kind="share"), like("2", kind="share")]
    quotes = [like("3", kind="share", text="Look"), like("4", kind="share", text="Look again")]
    assert brought([*plain, *quotes], ())["shares"] == 3
