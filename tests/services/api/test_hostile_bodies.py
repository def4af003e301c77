"""The largest bodies that are let in, of the shapes that cost most: nobody else waits while they are worked on.

What the loop does at a stretch, while everybody else waits, is counted in calls: seconds would be about the machine.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.http.files import sizes as body_sizes
from tests.services.api import hostile
from tests.services.api.conftest import ADMIN_KEY, Served, serve, settings_for

pytestmark = pytest.mark.stack

MOST_CALLS = 400_000
"""Of one turn of the loop: some 50 ms. Taking the largest form apart costs half of it."""
LARGEST_ANSWER = 128 * 1024


class Turns:
    """Counts the calls of each turn of a loop that runs in a thread."""

    def __init__(self) -> None:
        self.most = 0
        self._calls = 0
        self._loops: set[int] = set()

    def begin(self, api: Served) -> None:
        """Counts from here on. What was under way ends in another turn."""
        for _ in range(3):
            assert api.client.get("/healthz").status_code == 200
        self.most = 0

    def __call__(self, frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code is asyncio.base_events.BaseEventLoop._run_once.__code__:  # type: ignore[attr-defined]
            self._loops.add(threading.get_ident())
            self.most, self._calls = max(self.most, self._calls), 0
        elif event in ("call", "c_call") and threading.get_ident() in self._loops:
            self._calls += 1


@pytest.fixture
def turns(stack: Running, views: Database[Document]) -> Iterator[tuple[Served, Turns]]:
    """An API whose loop is counted; it is Python's own, whose turns can be seen."""
    counted = Turns()
    threading.setprofile(counted)
    try:
        for api in serve(settings_for(stack.kafka, stack.mongodb, views.name), ready=True, loop="asyncio"):
            threading.setprofile(None)
            hostile.fill(api, views)
            yield api, counted
    finally:
        threading.setprofile(None)


def shapes(most: int) -> dict[str, Callable[[str], Any]]:
    """Values for a field, each nearly as large as a body may be."""
    return {
        "zeros": lambda _: [0] * (most // 3 - 100),
        "objects": lambda _: [{}] * (most // 4 - 100),
        "strings": lambda _: ["a"] * (most // 5 - 100),
        "keys": lambda _: {str(number): 0 for number in range(most // 12)},
        "text": lambda _: "a" * (most - 200),
        "words": lambda _: "a " * (most // 2 - 100),
        "parentheses": lambda _: "(" * (most - 200),
        "nested": lambda _: json.loads("[" * 400 + "]" * 400),
    }


def bodies(most: int, fields: list[str]) -> Iterator[tuple[str, bytes]]:
    """Bodies that are JSON: with each field in turn large, and large as a whole."""
    for name, shape in shapes(most).items():
        value = shape("")
        yield name, json.dumps(value, separators=(",", ":")).encode()[:most]
        for field in fields:
            yield f"{field}: {name}", json.dumps({field: value}, separators=(",", ":")).encode()[:most]
    yield "deep", b"[" * most


ICS = "BEGIN:VCALENDAR\r\n{}END:VCALENDAR\r\n"
EVENT = "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:19000101\r\nRRULE:{}\r\nEND:VEVENT\r\n"


def files(most: int) -> Iterator[tuple[str, bytes]]:
    """Tables and calendars."""
    yield "columns", b"a," * (most // 2)
    yield "rows", (b"planned_at,account,text\n" + b"x,y,z\n" * most)[:most]
    yield "one quote", b'planned_at,account,text\n"' + b"a" * (most - 100)
    yield "lines", b"\n" * most
    yield "quotes", b'"' * most
    yield "endless", ICS.format(EVENT.format("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30") * (most // 120)).encode()[:most]
    yield "folded", b"BEGIN:VCALENDAR\r\n" + b" x\r\n" * (most // 4 - 10)
    yield "events", ICS.format(EVENT.format("FREQ=DAILY") * (most // 100)).encode()[:most]
    yield "values", ICS.format(EVENT.format("FREQ=YEARLY;BYMONTHDAY=" + "1," * (most // 3))).encode()[:most]


def checked(failed: list[str], turns: Turns, what: str, answer: httpx.Response) -> None:
    """Notes what cost too much, and starts counting again."""
    if turns.most > MOST_CALLS:
        failed.append(f"{what}: {turns.most} calls in one turn of the loop")
    if answer.status_code >= 500 or len(answer.content) > LARGEST_ANSWER:
        failed.append(f"{what}: {answer.status_code}, {len(answer.content)} bytes: {answer.text[:100]}")
    turns.most = 0


@pytest.mark.long
def test_no_body_of_any_route_holds_the_loop(
    turns: tuple[Served, Turns], views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, counted = turns
    monkeypatch.setattr("services.api.policies.holidays.service.SECONDS_ALLOWED", 0.5)
    known = hostile.ids(views)
    api.client.timeout = httpx.Timeout(120)
    document = api.client.get("/v1/openapi.json").json()
    failed: list[str] = []
    counted.begin(api)
    walked = 0
    for path, operations in document["paths"].items():
        for method in {"post", "put", "patch"} & set(operations):
            content = operations[method].get("requestBody", {}).get("content", {})
            there = hostile.address(path, known)
            most = body_sizes.largest_body(there)
            for kind, its in content.items():
                schema = its["schema"]
                named = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
                sent = bodies(most, list(named.get("properties", {}))) if kind == "application/json" else files(most)
                for what, raw in sent:
                    answer = api.client.request(method, there, content=raw, headers={"Content-Type": kind})
                    checked(failed, counted, f"{method} {path} {what}", answer)
                    walked += 1
    assert walked > 500
    assert not failed, "\n".join(failed)


@pytest.mark.long
def test_no_form_holds_the_loop(turns: tuple[Served, Turns], views: Database[Document]) -> None:
    api, counted = turns
    known = hostile.ids(views)
    client = api.with_key(None)
    client.timeout = httpx.Timeout(120)
    assert client.post("/login", data={"key": ADMIN_KEY}).status_code == 303
    failed: list[str] = []
    fields = hostile.form_fields()
    counted.begin(api)
    for route in hostile.pages("POST"):
        if route.path == "/logout":
            continue
        there = hostile.address(route.path, known)
        most = body_sizes.largest_body(there)
        each = (most - 2000) // len(fields)
        for what, raw in (
            ("fields", b"a=1&" * (most // 4)),
            ("names", b"&".join(b"%d=1" % number for number in range(most // 9))),
            ("text", "&".join(f"{name}={'a' * (each - len(name) - 2)}" for name in fields).encode()),
            ("words", "&".join(f"{name}={'a+' * ((each - len(name) - 2) // 2)}" for name in fields).encode()),
            ("lines", "&".join(f"{name}={'%0A' * ((each - len(name) - 2) // 3)}" for name in fields).encode()),
            ("one", b"file=" + b"%22" * ((most - 10) // 3)),
        ):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = client.post(there, content=raw[:most], headers=headers)
            checked(failed, counted, f"{route.path} {what}", answer)
        parts = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * (most // 52)
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        checked(failed, counted, f"{route.path} parts", client.post(there, content=parts[:most], headers=headers))
    assert not failed, "\n".join(failed)


@pytest.mark.long
def test_one_brands_hostile_files_keep_no_other_brand_waiting(api: Served, views: Database[Document]) -> None:
    api.brand("loud")
    api.brand("quiet")
    event = EVENT.format("FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2")
    raw = ICS.format(event * 2000).encode()
    answers: list[int] = []

    def send() -> None:
        answer = api.with_key(ADMIN_KEY).post("/v1/brands/loud/policy/holidays", content=raw, timeout=300)
        answers.append(answer.status_code)

    crowd = [threading.Thread(target=send) for _ in range(20)]
    for each in crowd:
        each.start()
    # Both what needs no thread and what needs one of the same pool is answered before the crowd is.
    rules = {"rules": [{"target_seconds": 3600}]}
    small = ICS.format(EVENT.format("FREQ=YEARLY"))
    for _ in range(5):
        assert api.client.get("/v1/brands/quiet/overview").status_code == 200
        assert api.client.post("/v1/brands/quiet/policy/preview", json=rules, timeout=120).status_code == 200
        assert api.client.post("/v1/brands/quiet/policy/holidays", content=small, timeout=120).status_code == 200
    unfinished = sum(each.is_alive() for each in crowd)
    for each in crowd:
        each.join()
    # One is worked on, eight wait; the others are told at once that they are too many.
    assert answers.count(429) >= 11
    assert unfinished > 0
