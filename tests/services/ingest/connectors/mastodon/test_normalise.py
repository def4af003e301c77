"""What a Mastodon server's pages and events become beyond single recorded ones: a story, and damage.

The recorded ones are in `tests/deliveries/mastodon`, and read in `tests/services/ingest/hooks/test_deliveries.py`.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from rapport.contracts.events import Account, Interaction
from rapport.domain.exchanges.fitting import fit
from services.ingest.broker import record_of
from services.ingest.connectors.mastodon.connector import address_of
from services.ingest.connectors.mastodon.normalise import Noted, Page, event, notifications, statuses
from services.ingest.hooks.delivery import MOST_CHANGES, MOST_PROBLEMS, UnreadableError, Watched
from tests.damage import changed, places
from tests.deliveries import FOLDER
from tests.platforms.mastodon import MastodonServer

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOST = "mastodon.example"
FILES = {
    file.stem: json.loads(file.read_text())
    for file in sorted((FOLDER / "mastodon").glob("*.json"))
    if not file.name.endswith(".expected.json")
}
PAGES = sorted(name for name, file in FILES.items() if file["as"] != "event")
EVENTS = sorted(name for name, file in FILES.items() if file["as"] == "event")
READERS: dict[str, Callable[..., Page]] = {"notifications": notifications, "statuses": statuses, "event": event}


def never(_: str) -> Noted | None:
    return None


def watched(id: str = f"1001@{HOST}", *staff: str) -> Watched:
    account = Account(
        id="roastery-mastodon", platform="mastodon", handle="roastery", connected_at=NOW, door_secrets=(), staff=staff
    )
    return Watched("roastery", account, id, frozenset({id}))


def items(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = FILES[name]["body"]
    return found


def payload(name: str) -> Any:
    return FILES[name]["body"].get("payload")


def framed(kind: str, payload: Any) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return json.dumps({"stream": ["user"], "event": kind, "payload": text}).encode()


def read(name: str, body: bytes, find: Callable[[str], Noted | None] = never) -> Page:
    return READERS[FILES[name]["as"]](body, HOST, watched(), find, NOW)


class Poller:
    """Asks a local server for everything, as the brand's account, and remembers what is to be remembered."""

    def __init__(self, server: MastodonServer) -> None:
        self.server = server
        self.brand = server.add_account("roastery", token="r")
        self.ledger: dict[str, Noted] = {}

    def page(self, reader: Callable[..., Page], body: bytes) -> Page:
        now = datetime.now(UTC) + timedelta(seconds=1)
        page = reader(body, "here", watched(f"{self.brand}@here"), self.ledger.get, now)
        self.ledger |= {one.status: one for one in page.noted}
        assert page.problems == []
        return page

    def told(self) -> list[Interaction]:
        pages = (
            self.page(notifications, self._get("notifications")),
            self.page(statuses, self._get(f"accounts/{self.brand}/statuses")),
        )
        return [one for page in pages for one in page.interactions]

    def _get(self, path: str) -> bytes:
        return httpx.get(f"{self.server.address}/api/v1/{path}", headers={"Authorization": "Bearer r"}).content


@pytest.fixture(params=[False, True], ids=["numbers", "ulids"])
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    with MastodonServer(ulids=request.param) as server:
        yield Poller(server)


def test_a_conversation_meets_in_one_partition_and_is_the_same_when_it_is_read_again(poller: Poller) -> None:
    server, brand = poller.server, poller.brand
    ada = server.add_account("ada", domain="social.example")
    post = server.post(brand, "New beans")
    poller.told()
    asked = server.comment(ada, post, "Is it back?")
    answered = server.answer(brand, asked, "Since Monday!")
    more = server.answer(brand, answered, "And decaf.", mentions=[ada])
    told = poller.told()
    assert [(one.id, one.kind) for one in told] == [
        (f"{asked}@here", "comment"), (f"{post}@here", "post"), (f"{answered}@here", "reply"), (f"{more}@here", "reply")
    ]  # fmt: skip
    comment, _, reply, second = told
    assert {one.conversation for one in (comment, reply, second)} == {f"roastery:{ada}@here"}
    assert {one.post for one in (comment, reply, second)} == {f"{post}@here"}
    assert [one.parent.id if one.parent else None for one in (comment, reply, second)] == [
        f"{post}@here", f"{asked}@here", f"{answered}@here"
    ]  # fmt: skip
    assert {one.parent.actor if one.parent else None for one in (reply, second)} == {f"{ada}@here"}
    assert (comment.actor.handle, reply.actor.handle) == ("ada@social.example", "roastery@here")
    assert comment.text == "@roastery Is it back?"
    assert [(one.id, one.kind, one.conversation) for one in poller.told()] == [
        (one.id, one.kind, one.conversation) for one in told
    ]
    deleted = poller.page(event, framed("delete", asked))
    assert deleted.gone == [asked]
    (gone,) = deleted.interactions
    assert (gone.kind, gone.conversation, gone.object.id) == ("delete", comment.conversation, comment.object.id)


def test_a_status_is_the_same_however_it_comes() -> None:
    noted = items("comment")[0]
    by_poll = read("comment", json.dumps([noted]).encode()).interactions
    assert event(framed("notification", noted), HOST, watched(), never, NOW).interactions == by_poll
    assert event(framed("update", noted["status"]).decode(), HOST, watched(), never, NOW).interactions == by_poll
    assert statuses(json.dumps([noted["status"]]).encode(), HOST, watched(), never, NOW).interactions == by_poll
    as_edit = event(framed("status.update", payload("event-edit-of-what-is-known")), HOST, watched(), never, NOW)
    assert as_edit.interactions[0].id == by_poll[0].id


def test_the_payload_may_be_no_string() -> None:
    frame = json.dumps({"event": "update", "payload": payload("event-update-own")})
    assert [one.kind for one in event(frame, HOST, watched(), never, NOW).interactions] == ["post"]


def test_a_payload_and_a_frame_may_stand_in_a_string_once_more() -> None:
    frame = framed("update", payload("event-update-own")).decode()
    told = event(frame, HOST, watched(), never, NOW).interactions
    twice = json.loads(frame)
    twice["payload"] = json.dumps(twice["payload"])
    for each in (json.dumps(frame), json.dumps(twice), json.dumps(json.dumps(twice))):
        assert event(each, HOST, watched(), never, NOW).interactions == told
    assert event(framed("delete", '"115"'), HOST, watched(), never, NOW).gone == ["115"]


@pytest.mark.parametrize("names", [("11", "9"), ("01JB", "01JA"), ("a1b", "a1a")])
def test_a_page_goes_on_from_its_newest_item_whichever_end_that_is_at(names: tuple[str, str]) -> None:
    first, second = items("follow")[0], items("follow")[0]
    newer = {**first, "id": names[0], "created_at": "2026-11-29T11:00:00.000Z"}
    older = {**second, "id": names[1], "created_at": "2026-11-29T10:00:00.000Z"}
    for body in ([newer, older], [older, newer], [None, older, newer]):
        page = notifications(json.dumps(body).encode(), HOST, watched(), never, NOW)
        assert page.ids == names
        assert [one.occurred_at.hour for one in page.interactions] == [10, 11]
    # Where times say nothing, the first is the newest, as Mastodon documents it.
    alike = [{**older, "created_at": newer["created_at"]}, newer]
    assert notifications(json.dumps(alike).encode(), HOST, watched(), never, NOW).ids[0] == names[1]


@pytest.mark.parametrize(
    "page",
    [b"", b"{}", b"7", b"null", b'{"error": "The access token is invalid"}', b"[" * 200_000, b'[{"a":' * 100_000],
)
def test_what_is_no_page_is_refused(page: bytes) -> None:
    for reader in (notifications, statuses):
        with pytest.raises(UnreadableError):
            reader(page, HOST, watched(), never, NOW)


@pytest.mark.parametrize(
    "frame", [b"", b"[]", b"{}", b'{"event": 7}', '{"error": "Not found", "status": 404}', "\ud800"]
)
def test_what_is_no_event_is_refused(frame: bytes | str) -> None:
    with pytest.raises(UnreadableError):
        event(frame, HOST, watched(), never, NOW)


def test_so_many_items_are_too_many_and_only_the_first_problems_are_named() -> None:
    found = notifications(json.dumps([7] * MOST_CHANGES).encode(), HOST, watched(), never, NOW)
    assert (found.unread, found.ids, len(found.problems)) == (MOST_CHANGES, (), MOST_PROBLEMS)
    with pytest.raises(UnreadableError, match="at once"):
        statuses(json.dumps([{}] * (MOST_CHANGES + 1)).encode(), HOST, watched(), never, NOW)


def test_the_page_goes_on_from_the_first_item_whose_id_can_be_read() -> None:
    follow = items("follow")[0]
    firsts: list[Any] = [7, {}, {"id": None}, {"id": ""}, {"id": "9" * 1_000}, {"id": []}]
    for first in firsts:
        found = notifications(json.dumps([first, follow]).encode(), HOST, watched(), never, NOW)
        assert (found.ids, len(found.interactions), found.unread) == ((follow["id"],), 1, 1)


odd = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20),
    st.sampled_from(["", "\x00", "9" * 600, "NaN", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"]),
    st.sampled_from(["-1", "<p", "1001", "direct", "edit"]),
    st.just([]), st.just({}), st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=3),
)  # fmt: skip
known = st.sampled_from([
    None, Noted("1", "comment", f"2002@{HOST}", f"roastery:2002@{HOST}", None, None),
    Noted("1", "reply", f"1001@{HOST}", f"roastery:2002@{HOST}", None, "1"),
    Noted("1", "message", f"2002@{HOST}", f"roastery:2002@{HOST}", f"roastery:2002@{HOST}", None),
])  # fmt: skip


def _can_be_taken(page: Page) -> None:
    for one in page.interactions:
        record_of(fit(one))
    told = {one.object.id.removesuffix(f"@{HOST}") for one in page.interactions}
    assert {noted.status for noted in page.noted} <= told


def test_a_quoted_status_whose_id_is_too_long_costs_nobody_the_comment_that_quotes_it() -> None:
    body = items("quote")
    place = next(each for each in places(body[0]) if each[-3:] == ("quote", "quoted_status", "id"))
    page = read("quote", json.dumps([changed(body[0], place, "9" * 600), *body[1:]]).encode(), lambda _: None)
    assert page.interactions
    assert page.unread == 0
    _can_be_taken(page)


def test_somebody_mentioned_whose_id_is_too_long_names_no_conversation() -> None:
    body = items("message-by-the-brand")
    for number, item in enumerate(body):
        for place in (each for each in places(item) if each[:1] == ("mentions",) and each[-1:] == ("id",)):
            other = [*body[:number], changed(item, place, "9" * 600), *body[number + 1 :]]
            page = read("message-by-the-brand", json.dumps(other).encode(), lambda _: None)
            _can_be_taken(page)


@pytest.mark.parametrize("name", [name for name in PAGES if FILES[name]["body"]])
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
def test_whatever_stands_in_a_place_of_an_item_the_items_beside_it_are_read(name: str, data: st.DataObject) -> None:
    body, found = items(name), data.draw(known)
    number = data.draw(st.integers(0, len(body) - 1))
    place = data.draw(st.sampled_from(places(body[number])))
    damaged = [*body[:number], changed(body[number], place, data.draw(odd)), *body[number + 1 :]]
    beside = [*body[:number], *body[number + 1 :]]
    page = read(name, json.dumps(damaged).encode(), lambda _: found)
    rest = read(name, json.dumps(beside).encode(), lambda _: found)
    assert page.unread <= rest.unread + 1
    assert {(one.object.id, one.actor.id) for one in rest.interactions} <= {
        (one.object.id, one.actor.id) for one in page.interactions
    }
    assert len(page.interactions) <= len(rest.interactions) + 2
    _can_be_taken(page)


@pytest.mark.parametrize("name", EVENTS)
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
def test_whatever_stands_in_a_place_of_an_event_nothing_is_raised_and_nothing_is_invented(
    name: str, data: st.DataObject
) -> None:
    told, found = payload(name), data.draw(known)
    other = changed(told, data.draw(st.sampled_from(places(told))), data.draw(odd))
    page = read(name, framed(FILES[name]["body"]["event"], other), lambda _: found)
    assert page.ids == ()
    assert len(page.interactions) <= 2
    assert page.unread + len(page.interactions) + page.ignored.total() >= 1, "it is told, or counted"
    _can_be_taken(page)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
@settings(max_examples=200, deadline=None)
def test_what_is_nothing_of_a_servers_tells_nothing(body: bytes) -> None:
    for reader in READERS.values():
        try:
            page = reader(body, HOST, watched(), never, NOW)
        except UnreadableError:
            continue
        assert page.interactions == []


def mention(created_at: datetime, **more: Any) -> dict[str, Any]:
    """A notification of two hours ago, of a status that names the brand."""
    status = {**items("mention")[0]["status"], "created_at": created_at.isoformat(), **more}
    return {**items("mention")[0], "created_at": (NOW - timedelta(hours=2)).isoformat(), "status": status}


@pytest.mark.parametrize("kind", ["status.update", "notification"])
def test_a_name_that_an_edit_adds_counts_from_when_the_server_told_of_it(kind: str) -> None:
    told = mention(NOW - timedelta(hours=36), edited_at=NOW.isoformat())
    frame = framed(kind, told["status"] if kind == "status.update" else {**told, "type": "update"})
    found = event(frame, HOST, watched(), never, NOW).interactions
    assert [one.kind for one in found] == ["mention", "edit"]
    assert found[0].occurred_at == (NOW if kind == "status.update" else NOW - timedelta(hours=2))
    assert found[0].claimed_at == NOW - timedelta(hours=36)


def test_however_late_it_is_read_a_mention_is_no_younger_than_its_notification() -> None:
    told, ahead = NOW - timedelta(hours=2), NOW + timedelta(hours=1)
    for claimed, at in ((ahead, told), (told + timedelta(seconds=3), told), (told - timedelta(seconds=90), None)):
        (found,) = notifications(json.dumps([mention(claimed)]).encode(), HOST, watched(), never, NOW).interactions
        assert (found.occurred_at, found.claimed_at) == ((at, claimed) if at else (claimed, None))


def test_the_brands_account_on_another_server_is_no_follower() -> None:
    there = Account(
        id="sister", platform="mastodon", handle="@Sister@Social.example", connected_at=NOW, door_secrets=(),
        connection={"service": "https://web.social.example"},
    )  # fmt: skip
    assert address_of(there) == "@sister@social.example"
    assert address_of(structs.replace(there, handle="sister")) == "@sister@web.social.example"
    mine = watched()
    both = replace(mine, own=mine.own | {address_of(there)})
    sister = {**items("mention")[0]["account"], "acct": "sister@social.example"}
    told = mention(NOW - timedelta(hours=2), account=sister)
    follow = {**items("follow")[0], "account": sister}
    answer = {
        **told["status"], "id": "77", "account": {"id": "1001", "acct": "roastery"}, "in_reply_to_id": "76",
        "in_reply_to_account_id": sister["id"], "mentions": [{"id": sister["id"], "acct": sister["acct"]}],
    }  # fmt: skip
    for whose, kinds in ((mine, ["mention", "follow", "reply"]), (both, ["post"])):
        by_others = notifications(json.dumps([told, follow]).encode(), HOST, whose, never, NOW)
        by_itself = statuses(json.dumps([answer]).encode(), HOST, whose, never, NOW)
        assert [one.kind for one in (*by_others.interactions, *by_itself.interactions)] == kinds


@pytest.mark.parametrize(
    "at", ["0000-01-01T00:00:00Z", "1969-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "soon", 7e99, {}]
)
def test_a_time_of_an_edit_that_nobody_can_mean_costs_nobody_the_comment(at: Any) -> None:
    claimed = NOW - timedelta(hours=2)
    found = notifications(json.dumps([mention(claimed, edited_at=at)]).encode(), HOST, watched(), never, NOW)
    assert [one.kind for one in found.interactions] == ["mention"]
    assert found.problems == []
