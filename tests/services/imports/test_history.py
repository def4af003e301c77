"""The history of a Bluesky account, asked of a server of its own: what is told of it is what the stream tells."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rapport.contracts.events import Interaction
from services.imports import asking, history
from services.imports.asking import Asking, AskingError
from services.imports.bluesky import NOT_A_POST, NOT_A_RECORD, OTHER, UNCONCERNED, open_repository
from services.imports.checking import EARLIER, LATER, Checked, Checker
from services.imports.entries import LONGEST, LeftOut, Source, UnreadableFileError
from services.imports.history import BROKEN, NOTIFICATIONS, RECORDS, Wanted, open_history
from services.ingest.connectors.bluesky.facts import Facts
from services.ingest.connectors.bluesky.frames import POST, from_jetstream
from services.ingest.connectors.bluesky.normalise import Watched
from services.ingest.connectors.bluesky.settings import BlueskySettings
from services.ingest.connectors.seen import UnsavedLedger
from services.ingest.polling.api import AttentionError, AwayError, LimitedError, TooMuchError
from tests.platforms.bluesky.appview import MOST, AppView, Record
from tests.platforms.bluesky.network import PASSWORD, Network
from tests.services.imports.files import ACME, BLUESKY, CONNECTED, FAN, NOW
from tests.services.ingest.people import newcomer

BO, STAFF, OTHER_OWN = "did:plc:bo", "did:plc:mira", "did:plc:acmeshop"
HOUR = timedelta(hours=1)
LONG_AGO = CONNECTED - timedelta(days=9)
RESOLVE = "com.atproto.identity.resolveHandle"
FIELDS = (
    "uri", "cid", "record", "author", "did", "handle", "indexedAt", "createdAt", "text", "reply", "root", "parent",
    "embed", "facets", "features", "subject", "langs",
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS), inner),
)


class NothingKnown:
    """A ledger that is empty."""

    def find(self, uri: str) -> list[Any]:
        return []

    def known_to(self, follower: str) -> set[str]:
        return set()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[AppView]:
    monkeypatch.setenv("RAPPORT_ALLOW_PRIVATE", "true")
    with AppView(ACME, "acme.test") as server:
        yield server


def opened(network: AppView, *, told: list[str] | None = None, shown: list[str] | None = None, **more: Any) -> Source:
    wanted = Wanted(**{"brand": "acme", "account": BLUESKY, "password": network.password, "did": ACME, **more})
    its = BlueskySettings(port=0, plc_directory=network.address)
    lines, steps = told if told is not None else [], shown if shown is not None else []
    return open_history(wanted, its, NOW, lines.append, steps.append)


class Once(list[str]):
    """Does something when a line first has certain words."""

    def __init__(self, words: str, do: Callable[[], None]) -> None:
        super().__init__()
        self._words = words
        self._do = do

    def append(self, line: str) -> None:
        if self._words in line and not self:
            super().append(line)
            self._do()


def checked(source: Source, since: datetime | None = None, account: Any = BLUESKY) -> list[Checked | LeftOut]:
    checker = Checker(source, "acme", account, CONNECTED, NOW, since)
    return [checker.check(entry) for entry in source.entries()]


def taken(found: list[Checked | LeftOut]) -> list[Interaction]:
    return [each.interaction for each in found if isinstance(each, Checked)]


def left_out(found: list[Checked | LeftOut]) -> list[tuple[str, bool]]:
    return sorted((each.reason, each.wrong) for each in found if isinstance(each, LeftOut))


def streamed(records: list[Record], account: Any = BLUESKY) -> list[Interaction]:
    """What the connector makes of records that a Jetstream tells, before the account was connected."""
    facts = Facts([Watched("acme", account, ACME, frozenset({ACME, OTHER_OWN}))])
    unsaved, found = UnsavedLedger(NothingKnown()), []
    for record in records:
        _, _, did, collection, rkey = record.uri.split("/")
        commit = {
            "rev": "r", "operation": "create", "collection": collection, "rkey": rkey, "cid": record.cid,
            "record": record.value,
        }  # fmt: skip
        at = int((CONNECTED - HOUR).timestamp() * 1_000_000)
        frame = from_jetstream(json.dumps({"did": did, "time_us": at, "kind": "commit", "commit": commit}))
        for change in frame.changes:
            found += facts.of(change, unsaved, NOW)
    return found


def told_of(one: Interaction) -> dict[str, Any]:
    """What has to be the same. The door adds a thread to what has none, and marks staff's answers as staff's."""
    fields = msgspec.structs.asdict(one)
    same = (
        "id", "kind", "actor", "object", "parent", "post", "text", "media", "language", "reaction", "occurred_at",
        "occurred_at_source", "conversation",
    )  # fmt: skip
    threaded = one.kind not in ("share", "reaction", "follow")
    return {name: fields[name] for name in same} | ({"thread": one.thread} if threaded else {})


def test_what_is_told_is_what_the_stream_tells(network: AppView) -> None:
    account = msgspec.structs.replace(BLUESKY, staff=(STAFF,))
    at = iter(LONG_AGO + number * HOUR for number in range(100))
    post = network.post(ACME, "New beans", next(at))
    question = network.post(FAN, "Do you ship?", next(at), reply=post)
    first = network.post(ACME, "We do!", next(at), reply=question)
    second = network.post(ACME, "To Norway, too.", next(at), reply=first)
    deep = network.post(BO, "And to Iceland?", next(at), reply=second)
    by_staff = network.post(STAFF, "Not yet.", next(at), reply=deep)
    more = network.post(STAFF, "Maybe next year.", next(at), reply=by_staff)
    by_brand = network.post(ACME, "We will see.", next(at), reply=more)
    records = [
        post, question, first, second, deep, by_staff, more, by_brand,
        network.post(BO, "Ask @acme.test", next(at), mentions=[ACME]),
        network.post(BO, "Look at this", next(at), quote=post),
        network.like(FAN, post, next(at)),
        network.repost(BO, post, next(at)),
        network.follow(FAN, next(at)),
        network.post(ACME, "Closed today", next(at)),
    ]  # fmt: skip
    source = opened(network, account=account)
    found = taken(checked(source, account=account))
    assert [told_of(one) for one in found] == [told_of(one) for one in streamed(records, account)]
    assert [one.kind for one in found] == [
        "post", "comment", "reply", "reply", "comment", "reply", "reply", "reply", "mention", "share", "reaction",
        "share", "follow", "post",
    ]  # fmt: skip
    continued = {one.text: one.parent.id for one in found if one.kind == "reply" and one.parent}
    assert continued["To Norway, too."] == question.uri
    assert continued["We will see."] == deep.uri
    assert source.of == ACME
    assert source.total == len(records)


def test_what_comes_twice_or_is_of_the_brand_counts_once_or_not_at_all(network: AppView) -> None:
    network.leads["shop.test"] = OTHER_OWN
    post = network.post(ACME, "New beans", LONG_AGO)
    question = network.post(FAN, "Hi @acme.test", LONG_AGO + HOUR, reply=post, mentions=[ACME])
    network.notify(question, "reply", LONG_AGO + HOUR + timedelta(seconds=1))
    network.notify(post, "quote", LONG_AGO + 2 * HOUR)
    network.like(OTHER_OWN, post, LONG_AGO + 3 * HOUR)
    network.post(BO, "Nothing to do with it", LONG_AGO + 4 * HOUR)
    network.notify(network.post(BO, "You follow me", LONG_AGO + 5 * HOUR), "subscribed-post", LONG_AGO + 5 * HOUR)
    network.notify(network.like(BO, question, LONG_AGO + 6 * HOUR), "like-via-repost", LONG_AGO + 6 * HOUR)
    source = opened(network, others=("@Shop.test", "nobody.test"))
    found = checked(source)
    assert source.total == len(found)
    assert [(one.kind, one.actor.id) for one in taken(found)] == [("post", ACME), ("comment", FAN)]
    assert left_out(found) == [(UNCONCERNED.reason, False)] * 3


def test_every_page_is_read_also_behind_empty_ones(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO - 2 * HOUR)
    minutes = [LONG_AGO + number * timedelta(minutes=1) for number in range(350)]
    for number, at in enumerate(minutes):
        network.like(BO if 150 <= number < 250 else f"did:plc:fan{number}", post, at)
    network.muted.add(BO)
    for number in range(120):
        network.post(ACME, f"Post {number}", LONG_AGO + number * HOUR / 60 - HOUR)
    shown: list[str] = []
    found = taken(checked(opened(network, shown=shown)))
    assert [one.kind for one in found].count("reaction") == 350 - 100
    assert [one.kind for one in found].count("post") == 121
    assert sorted(one.occurred_at for one in found) == [one.occurred_at for one in found], "from the oldest on"
    asked = network.requests(NOTIFICATIONS)
    assert [query["limit"] for query in asked] == ["100"] * 5
    assert {query["priority"] for query in asked} == {"false"}
    assert {query["collection"] for query in network.requests(RECORDS)} == {POST}
    assert any("back to 2026-11-11" in line for line in shown)


def test_what_others_did_is_asked_for_no_further_back_than_wanted(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO - 2 * HOUR)
    for number in range(450):
        network.like(f"did:plc:fan{number}", post, LONG_AGO + number * timedelta(minutes=1))
    since = LONG_AGO + 395 * timedelta(minutes=1)
    found = checked(opened(network, since=since), since)
    assert len(taken(found)) == 55
    assert set(left_out(found)) == {(EARLIER, False)}
    assert len(network.requests(NOTIFICATIONS)) == 2


def test_what_came_in_live_is_left_out(network: AppView) -> None:
    network.follow(FAN, CONNECTED + HOUR)
    network.follow(BO, CONNECTED - HOUR)
    found = checked(opened(network))
    assert [one.actor.id for one in taken(found)] == [BO]
    assert left_out(found) == [(LATER, False)]


def test_people_have_the_handles_that_lead_back_to_them(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO)
    network.leads |= {"fan.test": FAN, "bo.test": "did:plc:somebodyelse"}
    network.handles |= {FAN: "Fan.test", BO: "bo.test"}
    for number, did in enumerate((FAN, BO, "did:plc:nobody", "did:plc:odd")):
        network.like(did, post, LONG_AGO + (number + 1) * HOUR)
    network.handles["did:plc:odd"] = "x" * 300
    source = opened(network)
    handles = {one.actor.id: one.actor.handle for one in taken(checked(source)) if one.kind == "reaction"}
    assert handles == {FAN: "fan.test", BO: None, "did:plc:nobody": None, "did:plc:odd": None}
    assert sorted(query["handle"] for query in network.requests(RESOLVE)) == ["bo.test", "fan.test"]
    assert "the handles of 1 of 4 people are confirmed by their domains" in source.notes
    network.asked.clear()
    nameless = taken(checked(opened(network, named=False)))
    assert {one.actor.handle for one in nameless if one.kind == "reaction"} == {None}
    assert network.requests(RESOLVE) == []


def deep(levels: int) -> Any:
    made: Any = 1
    for _ in range(levels):
        made = [made]
    return made


def test_what_is_broken_is_named_and_stops_none_beside_it(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO)
    network.like(FAN, post, LONG_AGO + HOUR)
    network.like(BO, post, LONG_AGO + 90 * HOUR)
    good = {
        "uri": f"at://{FAN}/{POST}/3k", "cid": "bafy", "author": {"did": FAN, "handle": "fan.test"}, "reason": "reply",
        "record": {"text": "Hi", "createdAt": "2026-11-01T00:00:00Z", "later": {"than": "this"},
                   "reply": {"root": post.strong, "parent": post.strong}},
        "indexedAt": "2026-11-01T00:00:00Z", "later": "than this",
    }  # fmt: skip
    record = good["record"]
    assert isinstance(record, dict)

    def odd(number: int, **more: Any) -> dict[str, Any]:
        return {**good, "uri": f"at://{FAN}/{POST}/odd{number}", **more}

    items = [
        good, 7, None, [], {}, "text", odd(1, uri=7), odd(2, uri="at://nobody"), odd(3, uri=f"https://{FAN}/{POST}/x"),
        odd(4, uri=f"at://{FAN}/{POST}/a b"), odd(5, uri=f"at://{FAN}/app.bsky.graph.verification/x"),
        odd(6, cid=None), odd(7, record="text"), odd(8, record=None), odd(9, record=[record]),
        odd(10, record={**record, "text": 7}), odd(11, record={**record, "createdAt": None}),
        odd(12, record={**record, "createdAt": "0001-01-01T00:00:00Z"}), odd(13, record={**record, "reply": 7}),
        odd(14, indexedAt="yesterday"), odd(15, author=None), odd(16, record={**record, "langs": ["x" * 1000]}),
        odd(17, record={**record, "text": "x" * 200_000}), odd(18, record={**record, "text": "x" * (LONGEST + 1)}),
        odd(19, record={**record, "deep": deep(500)}), odd(20, uri=f"at://{FAN}/app.bsky.feed.like/odd"),
        odd(21, record={**record, "reply": {"root": post.strong, "parent": {"uri": "at://" + "x" * 600}}}),
    ]  # fmt: skip
    for number, item in enumerate(items):
        network.raw.append(((LONG_AGO + (number + 2) * HOUR).isoformat(timespec="milliseconds")[:-6] + "Z", item))
    network.post(ACME, "Somewhere else", LONG_AGO + HOUR, createdAt="when?")
    found = checked(opened(network))
    kinds = [one.kind for one in taken(found)]
    assert kinds.count("reaction") == 2
    texts = {one.object.id.rpartition("/")[2]: one.text for one in taken(found) if one.kind == "comment"}
    assert set(texts) == {"3k", "odd14", "odd15", "odd16", "odd17", "odd19"}
    assert texts["odd17"] is not None
    assert texts["odd17"].endswith("x…"), "cut, as the stream does"
    named = left_out(found)
    assert not any(wrong for _, wrong in named), "nobody here can correct them"
    assert {reason for reason, _ in named} >= {BROKEN, NOT_A_POST, NOT_A_RECORD, OTHER, "too long"}
    assert len(named) + len(taken(found)) == len(items) + 4


def test_the_posts_of_somebody_else_are_not_the_accounts(network: AppView) -> None:
    theirs = network.post(FAN, "Not the brand's", LONG_AGO)
    page = {"records": [{"uri": theirs.uri, "cid": theirs.cid, "value": theirs.value}]}
    network.answer(RECORDS, 200, page)
    found = checked(opened(network))
    assert taken(found) == []
    assert left_out(found) == [(BROKEN, False)]


@given(ANYTHING)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_the_list_the_others_are_taken(network: AppView, item: Any) -> None:
    if not network.requests(RECORDS):
        network.follow(FAN, LONG_AGO)
        network.follow(BO, LONG_AGO + 2 * HOUR)
    like = {"uri": f"at://{FAN}/app.bsky.feed.like/3k", "cid": "c", "record": item, "indexedAt": "2026-11-11T00:30:00Z"}
    network.raw[:] = [("2026-11-11T00:30:00.000Z", item), ("2026-11-11T00:31:00.000Z", like)]
    found = checked(opened(network, named=False))
    assert [one.actor.id for one in taken(found) if one.kind == "follow"] == [FAN, BO]


def test_limits_are_waited_for(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO - HOUR)
    for number in range(250):
        network.like(f"did:plc:fan{number}", post, LONG_AGO + number * timedelta(minutes=1))
    network.allow(4, 1.5)
    told: list[str] = []
    assert len(taken(checked(opened(network, told=told, named=False)))) == 251
    assert told
    assert all("its server limits requests; asking again in" in line for line in told)


def test_a_session_that_ends_is_opened_again(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO)
    network.like(FAN, post, LONG_AGO + HOUR)
    assert len(taken(checked(opened(network, shown=Once("so far", network.expire))))) == 2
    assert network.sessions == 2


def test_a_page_that_is_too_large_or_is_none_is_asked_for_in_parts(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO)
    for number in range(60):
        network.like(f"did:plc:fan{number}", post, LONG_AGO + (number + 1) * HOUR / 60)
    network.largest = 20
    network.answer(NOTIFICATIONS, 200, b"not JSON")
    assert len(taken(checked(opened(network, named=False)))) == 61
    assert [query["limit"] for query in network.requests(NOTIFICATIONS)][:5] == ["100", "50", "25", "12", "100"]
    network.answer(NOTIFICATIONS, 200, {"priority": False}, times=7)
    source = opened(network, named=False)
    with pytest.raises(UnreadableFileError, match="its answer has no list"):
        list(source.entries())


def test_what_was_read_before_the_server_refused_is_taken(network: AppView) -> None:
    post = network.post(ACME, "New beans", LONG_AGO - HOUR)
    for number in range(150):
        network.like(f"did:plc:fan{number}", post, LONG_AGO + number * timedelta(minutes=1))

    def refuse() -> None:
        network.answer(NOTIFICATIONS, 400, {"error": "InvalidRequest", "message": "No\nmore."})

    entries = opened(network, shown=Once("back to", refuse), named=False).entries()
    assert [next(entries).raw is not None for _ in range(101)] == [True] * 101
    with pytest.raises(UnreadableFileError, match="the platform refused it: No more"):
        next(entries)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"password": "wrong"}, "its server does not accept its app password"),
        ({"did": "did:plc:nobody"}, "DID not registered"),
        ({"did": "did:web:acme.example"}, "is not in Bluesky's directory"),
        ({"did": "did:plc:../../x"}, "is not in Bluesky's directory"),
        ({"did": None}, "leads to no account; --did names one"),
    ],
)
def test_why_nothing_can_be_read_is_said(network: AppView, more: dict[str, Any], why: str) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        opened(network, **more)


def test_a_server_without_an_appview_is_said_to_be_one(network: AppView) -> None:
    network.answer(NOTIFICATIONS, 501, {"error": "MethodNotImplemented", "message": "Method Not Implemented"})
    with pytest.raises(UnreadableFileError, match="the platform refused it: Method Not Implemented"):
        list(opened(network).entries())


def test_private_addresses_are_not_asked(network: AppView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAPPORT_ALLOW_PRIVATE")
    with pytest.raises(UnreadableFileError, match="its address cannot be used: refused"):
        opened(network)
    assert network.asked == []


def test_a_list_without_an_end_is_read_up_to_a_bound(network: AppView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_PAGES", 3)
    network.follow(FAN, LONG_AGO)
    still = {"notifications": [], "cursor": "the same"}
    network.answer(NOTIFICATIONS, 200, still, times=9)
    source = opened(network)
    assert len(network.requests(NOTIFICATIONS)) == 2, "a cursor that does not move is the end"
    assert not any("there is more" in note for note in source.notes)
    network._answers.clear()
    for number in range(9):
        network.answer(NOTIFICATIONS, 200, {"notifications": [], "cursor": f"{number}"})
    source = opened(network)
    assert len(network.requests(NOTIFICATIONS)) == 2 + 3
    assert "there is more that is older, which is not read" in source.notes


def test_what_is_kept_has_a_bound(network: AppView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 1_000)
    post = network.post(ACME, "New beans", LONG_AGO - HOUR)
    for number in range(2 * MOST):
        network.like(f"did:plc:fan{number}", post, LONG_AGO + number * timedelta(minutes=1))
    source = opened(network, named=False)
    assert source.total == 1 + MOST
    assert "there is more that is older, which is not read" in source.notes


def test_what_the_account_wrote_has_the_same_bound(network: AppView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 1_000)
    for number in range(2 * MOST):
        network.post(ACME, "New beans", LONG_AGO + number * timedelta(minutes=1))
    source = opened(network, named=False)
    assert source.total == MOST
    assert len(network.requests(RECORDS)) == 1
    assert "there is more that is older, which is not read" in source.notes


@pytest.mark.parametrize(("did", "handle"), [(FAN, "x" * 100_000), ("did:plc:" + "x" * 100_000, "fan.test"), ("", "")])
def test_of_people_nothing_is_kept_that_is_too_long_for_a_name(network: AppView, did: str, handle: str) -> None:
    post = network.post(ACME, "New beans", LONG_AGO)
    like = network.like(FAN, post, LONG_AGO + HOUR)
    item = {"uri": f"{like.uri}x", "cid": like.cid, "record": like.value, "author": {"did": did, "handle": handle}}
    network.raw.append(("2026-01-01T00:00:00.000Z", item))
    source = opened(network)
    assert len(taken(checked(source))) == 2 + 1
    assert "the handles of 0 of 1 people are confirmed by their domains" in source.notes


def test_what_a_real_server_lists_is_what_stands_in_the_repository(
    bluesky: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That server's AppView is not there, so reading ends with what the account wrote."""
    monkeypatch.setenv("RAPPORT_ALLOW_PRIVATE", "true")
    monkeypatch.setattr(asking, "GIVE_UP_AFTER_SECONDS", 1.0)
    shop, fan = newcomer(bluesky, "shop"), newcomer(bluesky, "fan")
    question = fan.post("Do you ship?", reply=shop.post("New beans"))
    shop.post("To Norway, too.", reply=shop.post("We do!", reply=question))
    shop.like(question)
    for number in range(MOST):
        shop.post(f"Post {number}")
    now = datetime.now(UTC)
    account = msgspec.structs.replace(BLUESKY, connected_at=now + HOUR)

    def told(source: Source) -> list[Interaction]:
        checker, found = Checker(source, "acme", account, now + HOUR, now), []
        with contextlib.suppress(UnreadableFileError):
            for entry in source.entries():
                found.append(checker.check(entry))
        return taken(found)

    wanted = Wanted("acme", account, PASSWORD, shop.did, named=False)
    its = BlueskySettings(port=0, plc_directory=bluesky.plc)
    listed = open_history(wanted, its, now, lambda _: None, lambda _: None)
    with pytest.raises(UnreadableFileError, match="its server does not answer as it should: it answered 502"):
        list(listed.entries())
    answer = httpx.get(f"{bluesky.pds}/xrpc/com.atproto.sync.getRepo", params={"did": shop.did})
    file = open_repository(io.BytesIO(answer.content), len(answer.content), "acme", account, now)
    assert [told_of(one) for one in told(listed)] == [told_of(one) for one in told(file)]
    assert [one.kind for one in told(listed)] == ["post", "reply", "reply", *["post"] * MOST]
    with pytest.raises(UnreadableFileError, match="its server does not accept its app password"):
        open_history(replace(wanted, password="wrong"), its, now, lambda _: None, lambda _: None)


class Tries:
    """Fails as told, then succeeds; time is what was waited."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.waited: list[float] = []
        self.told: list[str] = []

    async def ask(self) -> str:
        if self.failures:
            raise self.failures.pop(0) if len(self.failures) > 1 else self.failures[0]
        return "there"

    async def wait(self, seconds: float) -> None:
        self.waited.append(seconds)

    async def asked(self) -> str:
        asking = Asking(self.told.append, wait=self.wait, clock=lambda: sum(self.waited))
        return await asking.patiently(self.ask)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failure", "why", "least", "most"),
    [
        (AwayError("it answered 502"), "its server does not answer as it should: it answered 502", 90, 120),
        (LimitedError(100), "its server limits requests, for 100 s more", 900, 900),
        (LimitedError(86_400), "its server limits requests, for 86400 s more", 0, 0),
        (AttentionError("its server does not accept its app password"), "its server does not accept", 0, 0),
    ],
)
async def test_what_stays_wrong_is_given_up(failure: Exception, why: str, least: float, most: float) -> None:
    tries = Tries(failure)
    with pytest.raises(AskingError, match=why):
        await tries.asked()
    assert least <= sum(tries.waited) <= most
    assert len(tries.told) == len(tries.waited)


@pytest.mark.anyio
async def test_an_answer_that_is_too_large_is_not_asked_for_again() -> None:
    tries = Tries(TooMuchError("too large"))
    with pytest.raises(TooMuchError):
        await tries.asked()
    assert tries.waited == []
