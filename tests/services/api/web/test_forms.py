"""What holds for every form of the portal: unchanged stays unchanged, nothing is saved twice, nothing typed is lost."""

import json
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.http.ids import follower_ref
from services.api.web import forms, pages
from services.api.web.form_fields import ONCE, PAGE, VERSION
from services.api.web.forms import FormRoute
from tests.e2e import portal_data
from tests.services.api.conftest import ADMIN_KEY, Served
from tests.services.api.web.form_browser import Form, Visitor, forms_in
from tests.services.api.web.portal_session import logged_in

BRAND = portal_data.BRAND
HOME = f"/brands/{BRAND}"
TEMPLATES = sorted(Path(forms.__file__).parents[1].glob("*/templates/*.html"))
WITHOUT_SESSION = ("/login", "/logout", "/s/{token}")
HOSTILE = (
    "\n first \r\nsecond \"quoted\" 'so' </textarea><b>&amp; &lt; 🎉 ünï\u200d "
    "\u200f\u2067שלום\u2069\u200f so\u00adft \u202eover\u2028\x85no\u2060break  \n\n"
)
"""Text that pages get wrong: an empty first line, line breaks of all kinds, blanks at the ends, markup, marks."""

FOLLOWER = follower_ref("bluesky", "did:plc:0")
PAGES = (
    f"{HOME}/calendar",
    f"{HOME}/calendar/-new",
    f"{HOME}/calendar/hostile",
    f"{HOME}/calendar/second",
    f"{HOME}/mix",
    f"{HOME}/consistency",
    f"{HOME}/new",
    f"{HOME}/campaigns/-new?kind=giveaway",
    f"{HOME}/campaigns/-new?kind=survey",
    f"{HOME}/campaigns/spring",
    f"{HOME}/campaigns/asked",
    f"{HOME}/communities/-new",
    f"{HOME}/communities/hostile",
    f"{HOME}/communities/hostile/edit",
    f"{HOME}/communities/nested/edit",
    f"{HOME}/identities",
    f"{HOME}/accounts",
    f"{HOME}/exchanges/open-0",
    f"{HOME}/exchanges/decided",
    f"{HOME}/followers/{FOLLOWER}",
)
SAVES: dict[str, tuple[str, str] | None] = {
    "/calendar/plan": None,
    "/mix/settings": None,
    "/consistency/rhythm": None,
    "/new/goal": None,
    "/edit": ("do", "save"),
}
"""The forms that show what is stored and save it, with their buttons."""
NOTHING_TYPED = (
    "/calendar/match",
    "/calendar/file",
    "/calendar/feed",
    "/calendar/{plan}/restore",
    "/exchanges/{id}/reply-needed",
    "/followers/{id}/unlink",
    "/identities/suggestion",
    "/identities/file",
    "/mix/posts/{id}/label",
    "/campaigns/{id}/show-winners",
    "/campaigns/{id}/end",
    "/communities/{id}/remove",
    "/communities/{id}/restore",
)
"""Buttons and files."""
NOT_SHOWN = (
    "/exchanges/{id}/{deed}",
    "/campaigns/{id}/draw",
    "/campaigns/{id}/replace",
    "/connect/{id}/choose",
)
"""Forms that are only shown for an account with a token, after the end of a campaign, or after a consent."""
NOT_OF_A_BRAND = ("form_receipts", "form_drafts", "keys", "probes", "sessions", "outreach_days")
"""What logging in, looking at pages and readiness write."""


def _posts() -> list[APIRoute]:
    routers = (pages.router, *(module.router for module in pages.MODULES))
    found = [each for router in routers for each in router.routes if isinstance(each, APIRoute)]
    return [each for each in found if "POST" in (each.methods or ())]


def test_every_place_that_a_form_is_sent_to_keeps_the_rules_of_forms() -> None:
    posts = _posts()
    assert len(posts) > 20
    others = [each.path for each in posts if not isinstance(each, FormRoute)]
    assert sorted(others) == sorted(WITHOUT_SESSION)


def test_every_form_of_every_template_has_the_fields_of_forms() -> None:
    found = 0
    for path in TEMPLATES:
        for tag in re.findall(r'<form method="post"[^>]*>(?:\{\{ form_fields\()?', path.read_text(encoding="utf-8")):
            if not any(f'action="{each.partition("{")[0]}' in tag for each in WITHOUT_SESSION):
                found += 1
                assert tag.endswith("{{ form_fields("), (path.name, tag)
    assert found > 20


def test_every_text_of_several_lines_keeps_its_first_line() -> None:
    for path in TEMPLATES:
        for inside in re.findall(r"<textarea(?:[^>{]|\{\{.*?\}\}|\{%.*?%\})*>(.*?)</textarea>", path.read_text(), re.S):
            assert inside.startswith("\n"), (path.name, inside)


def test_a_key_that_only_reads_can_send_no_form_of_a_brand(api: Served) -> None:
    api.brand(BRAND)
    sent = 0
    with logged_in(api, api.key([BRAND], "read")) as reader:
        for route in _posts():
            if "{brand}" in route.path:
                path = re.sub(r"\{\w+\}", "any", route.path.replace("{brand}", BRAND))
                assert reader.post(path, data={"name": "any"}).status_code == 403, path
                sent += 1
    assert sent > 20


@pytest.fixture
def filled(api: Served, views: Database[Document]) -> None:
    """A brand with something hostile of everything that a form can show."""
    portal_data.fill(views)
    account = {"id": "all", "platform": "bluesky", "handle": "aurora", "connected_at": "2026-01-01T00:00:00Z"}
    now = datetime.now(UTC).replace(microsecond=0)

    def send(method: str, path: str, **body: Any) -> None:
        answer = api.client.request(method, f"/v1/brands/{BRAND}{path}", json=body)
        assert answer.status_code < 300, (path, answer.text)

    send("POST", "/accounts", **account)
    send("PUT", "/calendar/settings", approval_required=True)
    plan = {
        "account": "all",
        "text": HOSTILE,
        "media": ["video", "image"],
        "owner": "Grace\nH.\u200f\u202e",
        "label": "personal",
    }
    send("POST", "/calendar/posts", id="hostile", planned_at="2031-05-01T07:00:30.123Z", **plan)
    send("POST", "/calendar/posts", id="second", planned_at="2027-10-31T01:30:00Z", **plan)
    send("POST", "/calendar/posts", id="past", planned_at="2026-01-31T01:30:00Z", **plan)
    for plan_id in ("hostile", "second", "past"):
        send("POST", f"/calendar/posts/{plan_id}/approve")
    shares = {"labels": {"business": 1 / 3, "personal": 1 / 7}, "formats": {"image": 0.123456789}}
    rules = [{"label": "personal", "word": "a: b\u200f\u202e"}, {"label": "business", "hashtag": "team"}]
    send("PUT", "/mix/settings", rules=rules, **shares)
    send("PUT", "/consistency/rhythm", posts_per_week=7 / 3, accounts={"all": 1 / 3})
    send("PUT", "/new/goal", goal=7, platforms={"bluesky": 3})
    rule = 'wrote "don’t & <b>" and trust > 3'
    send("POST", "/communities", id="hostile", name="A \"name\" & 'so' 🎉", description=HOSTILE, rule=rule)
    send("POST", "/communities", id="nested", name="N", description="", rule="trust > 3 and (know > 2 or like > 4)")
    times = {"starts_at": (now - timedelta(days=1)).isoformat(), "ends_at": (now + timedelta(days=2)).isoformat()}
    giveaway = {"match": "all", "requirements": [{"kind": "comment"}], "winners": 1, "alternates": 1}
    send("POST", "/campaigns", id="spring", kind="giveaway", name="Spring", posts=["p"], giveaway=giveaway, **times)
    question = {"id": "q1", "text": "When?", "options": [{"id": "o1", "label": "Now"}, {"id": "o2", "label": "Later"}]}
    survey = {"questions": [question], "form": True}
    send("POST", "/campaigns", id="asked", kind="survey", name="Asked", survey=survey, **times)


def everything(views: Database[Document]) -> dict[str, list[str]]:
    """All that is stored about brands."""
    return {
        name: sorted(json.dumps(each, default=str, sort_keys=True) for each in views[name].find())
        for name in views.list_collection_names()
        if name not in NOT_OF_A_BRAND
    }


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_form_that_is_sent_as_it_was_shown_changes_nothing(api: Served, views: Database[Document]) -> None:
    visitor = Visitor(api)
    before = everything(views)
    saved = []
    for path in PAGES:
        for form in visitor.forms(path):
            end = next((each for each in SAVES if form.action.endswith(each)), None)
            if end is None or path.endswith("-new"):
                continue
            buttons: list[tuple[str, str] | None] = [each for each in form.buttons if each[1].startswith("save")]
            buttons = buttons or [SAVES[end]]
            for button in buttons:
                answer = visitor.send(form, button)
                assert answer.status_code == 303, (path, form.action, re.findall(r'class="wrong.*?</p>', answer.text))
                changed = {
                    name: (before.get(name), rows)
                    for name, rows in everything(views).items()
                    if rows != before.get(name)
                }
                assert changed == {}, (path, form.action)
                saved.append(end)
    assert set(saved) == set(SAVES)
    plan = api.client.get(f"/v1/brands/{BRAND}/calendar/posts/second").json()
    assert (plan["approval"], plan["planned_at"]) == ("approved", "2027-10-31T01:30:00Z")


@pytest.mark.stack
def test_a_form_without_anything_that_is_sent_as_it_was_shown_stores_nothing(
    api: Served, views: Database[Document]
) -> None:
    api.brand(BRAND)
    visitor = Visitor(api)
    before = everything(views)
    for page, end in (("mix", "/settings"), ("consistency", "/rhythm"), ("new", "/goal")):
        assert visitor.send(visitor.form(f"{HOME}/{page}", end)).status_code == 303
        assert everything(views) == before, end


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_the_form_changes_what_was_changed_and_leaves_the_rest(api: Served) -> None:
    visitor = Visitor(api)
    path, stored = f"{HOME}/calendar/hostile", f"/v1/brands/{BRAND}/calendar/posts/hostile"
    before = api.client.get(stored).json()
    assert visitor.send(visitor.form(path, "/plan").filled(owner="Ada")).status_code == 303
    after = api.client.get(stored).json()
    assert {name for name in after if after[name] != before[name]} == {"owner", "updated_at"}
    form = visitor.form(path, "/plan")
    assert visitor.send(form.filled(text=f"{form['text']}!")).status_code == 303
    assert "\u200f\u2067שלום\u2069\u200f so\u00adft over" in api.client.get(stored).json()["text"]
    assert visitor.send(visitor.form(path, "/plan").filled(text="Other words")).status_code == 303
    assert api.client.get(stored).json()["approval"] == "wanted"


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_time_that_comes_twice_is_asked_about_and_one_that_never_comes_is_refused(api: Served) -> None:
    visitor = Visitor(api)
    path, stored = f"{HOME}/calendar/hostile", f"/v1/brands/{BRAND}/calendar/posts/hostile"
    answer = visitor.send(visitor.form(path, "/plan").filled(planned_at="2027-03-28T02:30"))
    assert (answer.status_code, "because the clocks go forward" in answer.text) == (422, True)
    answer = visitor.send(visitor.form(path, "/plan").filled(planned_at="2027-10-31T02:30"))
    assert (answer.status_code, "comes twice" in answer.text) == (422, True)
    [form] = [each for each in forms_in(answer.text) if each.action.endswith("/plan")]
    assert {("which", "first"), ("which", "second")} <= set(form.boxes)
    for which, at in (("first", "2027-10-31T00:30:00Z"), ("second", "2027-10-31T01:30:00Z")):
        chosen = visitor.form(path, "/plan").filled(planned_at="2027-10-31T02:30", which=which)
        assert visitor.send(chosen).status_code == 303
        assert api.client.get(stored).json()["planned_at"] == at
        assert visitor.form(path, "/plan")["which"] == which
    assert form["planned_at"] == "2027-10-31T02:30"
    campaign = visitor.form(f"{HOME}/campaigns/-new", "/-new").filled(
        name="Late", needs="comment", posts="p", starts="2027-10-31T02:30", ends="2027-11-05T10:00"
    )
    answer = visitor.send(campaign)
    assert "comes twice" in answer.text
    [form] = [each for each in forms_in(answer.text) if each.action == campaign.action]
    assert {("starts_which", "first"), ("starts_which", "second")} <= set(form.boxes)
    assert "because the clocks go forward" in visitor.send(campaign.filled(starts="2027-03-28T02:30")).text
    assert visitor.send(campaign.filled(starts_which="second")).status_code == 303
    assert api.client.get(f"/v1/brands/{BRAND}/campaigns/late").json()["starts_at"] == "2027-10-31T01:30:00Z"


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_date_in_the_past_is_asked_about(api: Served) -> None:
    visitor = Visitor(api)
    new = visitor.form(f"{HOME}/calendar/-new", "/plan").filled(text="x", planned_at="2025-05-01T10:00")
    now, month = datetime.now(UTC), timedelta(days=30)
    campaign = visitor.form(f"{HOME}/campaigns/-new", "/-new").filled(
        name="Begun",
        needs="comment",
        posts="p",
        starts=f"{now - month:%Y-%m-%dT%H:%M}",
        ends=f"{now + month:%Y-%m-%dT%H:%M}",
    )
    moved = visitor.form(f"{HOME}/calendar/hostile", "/plan").filled(planned_at="2025-05-01T10:00")
    for form in (new, campaign, moved):
        answer = visitor.send(form)
        assert (answer.status_code, "This date is in the past. Save anyway?" in answer.text) == (422, True)
        [again] = [each for each in forms_in(answer.text) if each.action == form.action]
        assert ("past", "true") in again.boxes, form.action
        assert visitor.send(again.filled(past="true")).status_code == 303, form.action
    # What was in the past already is not asked about, nor what will not be published.
    old = visitor.form(f"{HOME}/calendar/past", "/plan").filled(owner="Ada")
    assert visitor.send(old).status_code == 303
    off = visitor.form(f"{HOME}/calendar/second", "/plan").filled(planned_at="2025-05-01T10:00", state="cancelled")
    assert visitor.send(off).status_code == 303


STALE_FORMS: list[tuple[str, str, dict[str, str], str, str, dict[str, Any]]] = [
    ("calendar/hostile", "/plan", {"owner": "mine"}, "PUT", "/calendar/posts/hostile", {"account": "all", "text": "x"}),
    ("mix", "/settings", {"business": "10"}, "PUT", "/mix/settings", {"labels": {"business": 0.5}}),
    ("consistency", "/rhythm", {"all": "3"}, "PUT", "/consistency/rhythm", {"posts_per_week": 5}),
    ("new", "/goal", {"goal": "3"}, "PUT", "/new/goal", {"goal": 9}),
    (
        "communities/hostile/edit",
        "/edit",
        {"name": "Mine"},
        "PUT",
        "/communities/hostile",
        {"name": "x", "rule": "trust > 9"},
    ),
]


def test_every_form_that_saves_what_it_shows_is_tried_with_an_old_version() -> None:
    assert all(any(saving.endswith(each[1]) for each in STALE_FORMS) for saving in SAVES)


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("page", "end", "typed", "method", "path", "body"), STALE_FORMS)
def test_a_stale_form_is_told_and_keeps_what_was_typed(
    api: Served, page: str, end: str, typed: dict[str, str], method: str, path: str, body: dict[str, Any]
) -> None:
    visitor = Visitor(api)
    form = visitor.form(f"{HOME}/{page}", end).filled(**typed)
    button = SAVES[next(each for each in SAVES if form.action.endswith(each))]
    if "account" in body:
        body = {**body, "planned_at": "2031-06-01T10:00:00Z"}
    answer = api.client.request(method, f"/v1/brands/{BRAND}{path}", json=body)
    assert answer.status_code == 200, answer.text
    stored = api.client.get(f"/v1/brands/{BRAND}{path}").json()
    answer = visitor.send(form, button)
    assert (answer.status_code, "Somebody else changed this" in answer.text) == (409, True)
    assert api.client.get(f"/v1/brands/{BRAND}{path}").json() == stored
    [again] = [each for each in forms_in(answer.text) if each.action == form.action]
    assert dict(again.fields).items() >= typed.items()
    assert again[VERSION] != form[VERSION]
    assert visitor.send(again, button).status_code == 303
    assert api.client.get(f"/v1/brands/{BRAND}{path}").json() != stored


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_client_approves_only_what_they_saw(api: Served) -> None:
    visitor = Visitor(api)
    for number in (0, 1):
        form = visitor.form(f"{HOME}/calendar/hostile", "/verdict", number)
        body = {"account": "all", "planned_at": "2031-06-01T10:00:00Z", "text": f"other {number}"}
        api.client.put(f"/v1/brands/{BRAND}/calendar/posts/hostile", json=body)
        answer = visitor.send(form)
        assert (answer.status_code, "Somebody else changed this plan" in answer.text) == (409, True)
        assert api.client.get(f"/v1/brands/{BRAND}/calendar/posts/hostile").json()["approval"] == "wanted"


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_what_became_of_a_plan_makes_no_form_of_it_stale(api: Served, views: Database[Document]) -> None:
    visitor = Visitor(api)
    form = visitor.form(f"{HOME}/calendar/hostile", "/plan").filled(owner="Ada")
    verdict = visitor.form(f"{HOME}/calendar/second", "/verdict")
    became = {"published": f"{BRAND}/bluesky/at://x", "published_at": datetime.now(UTC), "missing_since": None}
    views["planned_posts"].update_many({"brand": BRAND}, {"$set": became})
    assert [visitor.send(each).status_code for each in (form, verdict)] == [303, 303]


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("number", [0, 1])
def test_nothing_is_removed_that_was_not_seen(api: Served, number: int) -> None:
    what, removing = REMOVALS[number]
    body = ({"planned_at": "2031-06-01T10:00:00Z", "account": "all", "text": "x"}, {"name": "x", "rule": "trust > 9"})
    visitor = Visitor(api)
    form = removing(visitor)
    stored = f"/v1/brands/{BRAND}/{what}"
    assert api.client.put(stored, json=body[number]).status_code == 200
    assert visitor.send(form).status_code == 409
    assert api.client.get(stored).status_code == 200


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("typed", ["", " \r\n ", "\u200b\u2060", "\u3164"])
def test_a_reason_that_nobody_can_see_is_none(api: Served, typed: str) -> None:
    visitor = Visitor(api)
    answer = visitor.send(visitor.form(f"{HOME}/calendar/hostile", "/verdict").filled(why=typed), ("verdict", "refuse"))
    assert (answer.status_code, "Give a reason" in answer.text) == (422, True)


def _counted(views: Database[Document]) -> dict[str, int]:
    return {name: views[name].count_documents({}) for name in ("planned_posts", "campaigns", "communities")}


NEW_FORMS: list[tuple[str, str, dict[str, str], tuple[str, str] | None]] = [
    ("calendar/-new", "/plan", {"text": "Twice", "planned_at": "2031-05-01T10:00"}, None),
    ("communities/-new", "/-new", {"name": "Twice", "text": "trust > 3"}, ("do", "save-text")),
    ("campaigns/-new", "/-new", {"name": "Twice", "needs": "comment", "posts": "p", "starts": "2031-05-01T10:00",
                                 "ends": "2031-06-01T10:00"}, None),
]  # fmt: skip


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("page", "end", "typed", "button"), NEW_FORMS)
def test_a_form_that_is_sent_twice_counts_once(
    api: Served, views: Database[Document], page: str, end: str, typed: dict[str, str], button: tuple[str, str] | None
) -> None:
    visitor = Visitor(api)
    form = visitor.form(f"{HOME}/{page}", end).filled(**typed)
    before = _counted(views)
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(visitor.send(form, button))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.status_code for each in answers} == {303}
    assert len({each.headers["location"] for each in answers}) == 1
    assert sum(_counted(views).values()) == sum(before.values()) + 1
    # Somebody who goes back and types something else means something else.
    if page.startswith("calendar"):
        assert visitor.send(form.filled(text="Another one"), button).status_code == 303
        assert _counted(views)["planned_posts"] == before["planned_posts"] + 2
    # What was refused does not count: it can be sent again.
    wrong = visitor.form(f"{HOME}/{page}", end)
    assert [visitor.send(wrong, button).status_code for _ in range(2)] == [422, 422]


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_a_form_whose_process_ended_can_be_sent_again_and_one_that_is_being_saved_cannot(
    api: Served, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "WAITED_SECONDS", 0.2)
    visitor = Visitor(api)
    form = visitor.form(f"{HOME}/calendar/-new", "/plan").filled(text="Once", planned_at="2031-05-01T10:00")
    before = views["planned_posts"].count_documents({})
    for ago, status, plans in ((timedelta(0), 409, 0), (timedelta(minutes=2), 303, 1)):
        assert visitor.send(form).status_code == 303
        # As if it had ended before it saved anything.
        views["planned_posts"].delete_many({"text": "Once"})
        receipt = {"led_to": None, "at": datetime.now(UTC) - ago}
        assert views["form_receipts"].update_many({}, {"$set": receipt}).matched_count == 1
        answer = visitor.send(form)
        assert (answer.status_code, "still being saved" in answer.text) == (status, status == 409)
        assert views["planned_posts"].count_documents({}) == before + plans
        views["form_receipts"].delete_many({})


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_the_receipt_of_a_form_is_of_who_sent_it(api: Served) -> None:
    visitor, reader = Visitor(api), Visitor(api, api.key([BRAND], "read"))
    form = visitor.form(f"{HOME}/new", "/goal").filled(goal="5")
    assert [each.send(form).status_code for each in (visitor, reader)] == [303, 403]


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_what_was_typed_into_any_form_outlives_the_session(api: Served, views: Database[Document]) -> None:
    visitor = Visitor(api)
    places = {each.path: each.path_regex for each in _posts() if isinstance(each, FormRoute)}
    walked = set()
    for path in PAGES:
        for index, form in enumerate(visitor.forms(path)):
            typed = {name: _other(form, name) for name in form.typed}
            if not typed or form.action == "/logout":
                continue
            visitor.client.cookies.clear()
            before = everything(views)
            answer = visitor.send(form.filled(**typed))
            assert (answer.status_code, "Your session has ended" in answer.text) == (401, True), form.action
            [login] = forms_in(answer.text)
            # A wrong key first: nothing is lost by that.
            answer = visitor.send(login.filled(key="rp_test_wrong_" + "0" * 64))
            [login] = forms_in(answer.text)
            answer = visitor.send(login.filled(key=ADMIN_KEY))
            assert answer.status_code == 303
            page = visitor.client.get(answer.headers["location"])
            assert page.status_code == 200
            assert "What you typed is in the form again" in page.text, (path, form.action)
            again = forms_in(page.text)[index]
            assert (again.action, again.folded) == (form.action, [])
            assert dict(again.own()) == dict(form.filled(**typed).own()), (path, form.action)
            assert again.fields[[name for name, _ in again.fields].index(ONCE)][1] != form[ONCE]
            assert again[PAGE] == form[PAGE]
            assert everything(views) == before
            walked.add(next(path for path, its in places.items() if its.match(form.action)))
    others = {f"/brands/{{brand}}{end}" for end in (*NOTHING_TYPED, *NOT_SHOWN)}
    assert walked | others == set(places)


def _other(form: Form, name: str) -> str:
    kind = form.kinds.get(name, "textarea")
    if kind == "datetime-local":
        return "2031-07-09T11:22"
    if kind == "number":
        return "5"
    text = "\r\n first line </textarea> \"q\" 'q' & 🎉\r\nsecond"
    return text if kind == "textarea" else text.replace("\r\n", " ")


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_what_was_typed_before_the_session_ended_overwrites_no_change_since(api: Served) -> None:
    visitor = Visitor(api)
    form = visitor.form(f"{HOME}/new", "/goal").filled(goal="4321")
    visitor.client.cookies.clear()
    [login] = forms_in(visitor.send(form).text)
    assert api.client.put(f"/v1/brands/{BRAND}/new/goal", json={"goal": 9}).status_code == 200
    page = visitor.client.get(visitor.send(login.filled(key=ADMIN_KEY)).headers["location"])
    [again] = [each for each in forms_in(page.text) if each.action == form.action]
    assert again["goal"] == "4321"
    answer = visitor.send(again)
    assert (answer.status_code, "Somebody else changed this" in answer.text) == (409, True)
    assert api.client.get(f"/v1/brands/{BRAND}/new/goal").json()["goal"] == 9


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
def test_what_was_typed_is_nobody_elses(api: Served, views: Database[Document]) -> None:
    visitor = Visitor(api)
    form = visitor.form(f"{HOME}/new", "/goal").filled(goal="4321")
    visitor.client.cookies.clear()
    [login] = forms_in(visitor.send(form).text)
    back = visitor.send(login.filled(key=ADMIN_KEY)).headers["location"]
    assert "4321" in visitor.client.get(back).text
    stranger = Visitor(api, api.key([BRAND], "read", "write"))
    assert "4321" not in stranger.client.get(back).text


REMOVALS: list[tuple[str, Callable[[Visitor], Form]]] = [
    ("calendar/posts/hostile", lambda its: its.form(f"{HOME}/calendar/hostile", "/verdict", 1)),
    ("communities/hostile", lambda its: its.form(f"{HOME}/communities/hostile", "/remove")),
]


@pytest.mark.stack
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("what", "removing"), REMOVALS)
def test_what_was_removed_can_be_brought_back(api: Served, what: str, removing: Callable[[Visitor], Form]) -> None:
    stored = f"/v1/brands/{BRAND}/{what}"
    visitor = Visitor(api)
    before = api.client.get(stored).json()
    answer = visitor.send(removing(visitor))
    assert answer.status_code == 303
    assert api.client.get(stored).status_code == 404
    page = visitor.client.get(answer.headers["location"])
    assert "Removed: " in page.text
    [form] = [each for each in forms_in(page.text) if each.action.endswith("/restore")]
    assert visitor.send(form).status_code == 303
    after = api.client.get(stored).json()
    for name in ("current", "members"):
        before.pop(name, None), after.pop(name, None)
    assert after == before
    assert visitor.client.post(form.action).status_code == 404


def test_every_button_that_removes_something_asks_first() -> None:
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r">(Remove|End this campaign|Forget)[^<]*</button>", text):
            before = text[: found.start()]
            asked = before.rfind("<details") > before.rfind("</details>") or "to be sure" in before.lower()
            assert asked, (path.name, found[0])
