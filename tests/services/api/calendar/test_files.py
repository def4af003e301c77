"""Planned posts from files, by the API and by the portal."""

import base64
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.http.files.sizes import LARGEST_FILE
from tests.services.api.conftest import Served
from tests.services.api.web.form_browser import Visitor, forms_in

pytestmark = pytest.mark.stack

BRAND = "acme"
HOME = f"/v1/brands/{BRAND}/calendar"
FORM = f"/brands/{BRAND}/calendar/file"


@pytest.fixture(autouse=True)
def account(api: Served) -> None:
    """A brand in Berlin, with an account."""
    api.brand(BRAND)
    new = {"id": "csv-a", "platform": "bluesky", "handle": "acme", "connected_at": "2026-01-01T00:00:00Z"}
    assert api.client.post(f"/v1/brands/{BRAND}/accounts", json=new).status_code == 201


def sent(api: Served, text: str | bytes, **query: Any) -> dict[str, Any]:
    """What the API says of a file."""
    answer = api.client.post(f"{HOME}/import", content=text, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def planned(api: Served, **which: str) -> list[str]:
    """When posts are planned."""
    found = api.client.get(HOME, params={"from": "2026-12-01", "to": "2027-01-30", **which}).json()
    return [each["planned_at"] for each in found["planned"]]


def refused(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    return str(answer.json()["errors"][0]["why"])


def test_a_german_file_is_shown_as_it_is_read_and_taken_once_that_is_agreed_to(api: Served) -> None:
    rows = "planned_at;account;text\r\n31.12.2098 09:00;csv-a;Rutsch, „prost“\r\n01.01.2025 09:00;csv-a;vorbei\r\n"
    looked = sent(api, rows.encode("cp1252"))
    assert (looked["separator"], looked["encoding"]) == ("semicolon", "Windows-1252")
    assert looked["times"] == [{"written": "31.12.2098 09:00", "read_as": "2098-12-31T09:00:00+01:00", "rows": 2}]
    assert (looked["good"], looked["bad"], looked["past"], looked["added"]) == (2, [], 1, 0)
    its_month = {"from": "2098-12-01", "to": "2099-01-30"}
    assert planned(api, **its_month) == []
    assert sent(api, rows.encode("cp1252"), agree=True)["added"] == 2
    assert planned(api, **its_month) == ["2098-12-31T08:00:00Z"]


def test_dates_that_can_be_either_way_round_are_asked_about(api: Served) -> None:
    rows = "planned_at,account,text\n12/1/2026 9:00 AM,csv-a,x\n"
    for query in ({}, {"agree": True}):
        looked = sent(api, rows, **query)
        assert (looked["asks_dates"], looked["dates"], looked["good"], looked["added"]) == (True, None, 0, 0)
        assert "the day or the month comes first" in looked["bad"][0]["why"]
    for dates, at in (("month-first", "2026-12-01T08:00:00Z"), ("day-first", "2026-01-12T08:00:00Z")):
        looked = sent(api, rows, dates=dates)
        assert (looked["asks_dates"], looked["dates"]) == (False, dates)
        assert looked["times"][0]["read_as"].startswith(at[:10])
    assert sent(api, rows, dates="month-first", agree=True)["added"] == 1
    assert planned(api) == ["2026-12-01T08:00:00Z"]
    # What a file shows by itself is not asked about, whatever was said.
    looked = sent(api, rows + "12/31/2026 5:30 PM,csv-a,y\n", dates="day-first")
    assert (looked["good"], looked["dates"]) == (2, "month-first")


def test_rows_are_found_by_their_lines_and_nonsense_is_refused(api: Served) -> None:
    many_lines = 'id,planned_at,account,text\na1,nonsense,csv-a,"line one\nline two\nline three"\n'
    [bad] = sent(api, many_lines)["bad"]
    assert (bad["line"], bad["column"]) == (2, "planned_at")
    quote = (
        'id,planned_at,account,text\na1,2026-12-01T09:00:00+01:00,csv-a,ok\na2,2026-12-01,csv-a,"we said "hi" there"\n'
    )
    assert [each["line"] for each in sent(api, quote)["bad"]] == [3]
    [bad] = sent(api, "id,planned_at,account,text\nn1,202612010900,csv-a,x\n")["bad"]
    assert "such as 2026-12-31T09:00:00+01:00" in bad["why"]
    for text, why in (
        ("id,planned_at,account,text,text\nd1,2026-12-01T09:00:00+01:00,csv-a,first,second\n", "text twice"),
        ("planned_at,account,txt\n", "unknown column txt; did you mean text?"),
        ('"', "line 1: a quotation mark is opened here and never closed"),
    ):
        assert why in refused(api.client.post(f"{HOME}/import", content=text))
    path = f"/v1/brands/{BRAND}/identities/import"
    assert "never closed" in refused(api.client.post(path, content='"'))
    twice = "platform_a,follower_a,platform_b,follower_b,why,why\n"
    assert "why twice" in refused(api.client.post(path, content=twice))


def test_a_file_as_large_as_is_promised_is_taken_by_api_and_portal(api: Served) -> None:
    head = "planned_at,account,text\n"
    row = "2026-12-31 09:00,csv-a," + "ä" * 4_000 + "\n"
    text = head + row * ((1_048_576 - len(head)) // len(row.encode()))
    assert len(text.encode()) > 1_000_000
    looked = sent(api, text)
    assert looked["bad"] == []
    visitor = Visitor(api)
    answer = visitor.client.post(FORM, files={"file": ("plan.csv", text.encode(), "text/csv")})
    assert f"{looked['good']} good rows" in answer.text
    [form] = [each for each in forms_in(answer.text) if each.action == FORM and ("agree", "true") in each.fields]
    assert visitor.send(form).headers["location"].endswith(f"added={looked['good']}&changed=0&left=0")
    larger = text.encode() + b"\n" * (LARGEST_FILE + 1 - len(text.encode()))
    assert "more than 1,048,576 bytes" in refused(api.client.post(f"{HOME}/import", content=larger))


def test_the_portal_shows_how_a_file_is_read_asks_and_takes_it_once(api: Served, views: Database[Document]) -> None:
    visitor = Visitor(api)
    rows = b"planned_at\taccount\ttext\n12/1/2026 9:00 AM\tcsv-a\tone\n12/2/2026 9:00 AM\tcsv-a\ttwo\nx\ty\tz\n"
    answer = visitor.client.post(FORM, files={"file": ("plan.tsv", rows, "text/csv")})
    assert "with a tab between the cells" in answer.text
    [asking] = [each for each in forms_in(answer.text) if each.action == FORM and "kept_file" in dict(each.fields)]
    assert base64.b64decode(asking["kept_file"]) == rows
    answer = visitor.send(asking.filled(dates="month-first"))
    assert "Tuesday, 1 December 2026, 09:00" in answer.text
    [agreeing] = [each for each in forms_in(answer.text) if ("agree", "true") in each.fields]
    answers = [visitor.send(agreeing) for _ in range(2)]
    assert {each.headers["location"] for each in answers} == {f"/brands/{BRAND}/calendar?added=2&changed=0&left=1"}
    assert views["planned_posts"].count_documents({}) == 2
    assert "2 added, 0 changed, 1 left out." in visitor.client.get(answers[0].headers["location"]).text
    exported = api.client.get(f"{HOME}/export").content
    answer = visitor.client.post(FORM, files={"file": ("plan.csv", exported, "text/csv")}, data={"agree": "true"})
    assert answer.headers["location"] == f"/brands/{BRAND}/calendar?added=0&changed=0&left=0"
    answer = visitor.client.post(FORM, files={"file": ("plan.csv", b'"', "text/csv")})
    assert (answer.status_code, "Line 1: a quotation mark is opened here and never closed." in answer.text) == (
        422,
        True,
    )


def test_the_feed_can_be_seen_again_and_a_new_address_has_to_be_meant(api: Served, views: Database[Document]) -> None:
    assert api.client.get(f"{HOME}/feed").json() == {"made": False, "path": None}
    path = api.client.post(f"{HOME}/feed").json()["path"]
    assert api.client.get(f"{HOME}/feed").json() == {"made": True, "path": path}
    with api.with_key(api.key([BRAND], "read")) as reader:
        assert reader.get(f"{HOME}/feed").status_code == 403
        shown = Visitor(api, str(reader.headers["Authorization"]).removeprefix("Bearer ")).client
        assert path not in shown.get(f"/brands/{BRAND}/calendar").text
    answer = api.client.post(f"{HOME}/feed")
    assert (answer.status_code, "stop working" in answer.text) == (409, True)
    assert api.client.get(path).status_code == 200
    visitor = Visitor(api)
    page = visitor.client.get(f"/brands/{BRAND}/calendar").text
    assert f"{api.url}{path}" in page
    assert "stops working" in page
    form = visitor.form(f"/brands/{BRAND}/calendar", "/feed")
    assert visitor.send(form).status_code == 303
    assert api.client.get(path).status_code == 404
    new = api.client.get(f"{HOME}/feed").json()["path"]
    assert api.client.get(new).status_code == 200
    # Two who want a new address at the same time: the second one is shown the first one's.
    stale = form.filled(_once="another")
    answer = visitor.send(stale)
    assert (answer.status_code, new in answer.text) == (409, True)
    replaced = api.client.post(f"{HOME}/feed", params={"replace": True}).json()["path"]
    assert (api.client.get(new).status_code, api.client.get(replaced).status_code) == (404, 200)
    # An address of an older version works on, and is not known.
    views["calendar_settings"].update_one({"_id": BRAND}, {"$unset": {"feed_token": ""}})
    assert api.client.get(f"{HOME}/feed").json() == {"made": True, "path": None}
    assert "created by an older version" in visitor.client.get(f"/brands/{BRAND}/calendar").text
