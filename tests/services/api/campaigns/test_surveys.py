"""Surveys: answers from votes, comments and the form; results, and the follower's profile."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.campaigns import surveys
from services.api.campaigns import upkeep as campaigns
from services.api.http.ids import follower_ref
from tests.services.api import facts, samples
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.campaigns.data import ROAST, WHY, turn
from tests.services.api.conftest import Served, serve, settings_for

pytestmark = pytest.mark.stack

BRAND = "aurora"
HOME = f"/v1/brands/{BRAND}/campaigns"


def make(api: Served, *questions: dict[str, Any], **more: Any) -> Any:
    now = datetime.now(UTC)
    survey = {"questions": list(questions or (ROAST, WHY)), "form": more.pop("form", True)}
    content = {
        "id": "next",
        "kind": "survey",
        "name": "The next roast",
        "starts_at": (now - timedelta(days=2)).isoformat(),
        "ends_at": (now + timedelta(days=2)).isoformat(),
        "survey": survey,
        **more,
    }
    return api.client.post(HOME, json=content)


def results(api: Served) -> dict[str, Any]:
    found = api.client.get(f"{HOME}/next/results").json()
    return {each["id"]: each for each in found["questions"]} | {"people": found["people"]}


def counts(api: Served) -> dict[str, int]:
    return {each["id"]: each["count"] for each in results(api)["roast"]["options"]}


def vote(who: str, text: str, id: str = "v", **more: Any) -> Any:
    at = datetime.now(UTC) - timedelta(hours=5)
    fields = {"kind": "vote", "campaign": "next", "text": text, **more}
    return facts.about(f"{id}-{who}", f"{id}-{who}", BRAND, more.pop("at", at), who, **fields)


def path_of(made: Any) -> str:
    assert made.status_code == 201, made.text
    return str(made.json()["survey"]["form"])


def opened(api: Served, path: str) -> tuple[httpx.Client, str]:
    """Somebody without a key who has opened the form, and its ticket."""
    client = httpx.Client(base_url=api.url)
    page = client.get(path)
    assert page.status_code == 200, page.text
    found = re.search(r'name="ticket" value="([^"]+)"', page.text)
    assert found, page.text
    return client, found[1]


@pytest.fixture
def ready(api: Served) -> Served:
    api.brand(BRAND)
    return api


def test_votes_and_words_are_answers_and_the_latest_of_a_person_counts(
    ready: Served, views: Database[Document]
) -> None:
    assert make(ready, posts=["at://poll"]).status_code == 201
    at = datetime.now(UTC) - timedelta(hours=4)
    facts.write(
        views,
        *(vote(f"p{number}", "Kenya") for number in range(3)),
        vote("p3", "Guji"),
        facts.on("poll", "c-p0", BRAND, at, "p0", text="No, Guji please"),
        facts.on("why", "w-p0", BRAND, at, "p0", text="It smells best"),
        vote("p4", "Something else"),
    )
    turn(views)
    assert counts(ready) == {"guji": 2, "huila": 0, "kenya": 2}
    roast = results(ready)["roast"]
    assert (roast["answers"], roast["by"], results(ready)["people"]) == (4, {"vote": 3, "comment": 1}, 4)
    share = roast["options"][0]["share"]
    assert (share["value"], 0 < share["low"] < 0.5 < share["high"] < 1) == (0.5, True)
    assert [each["text"] for each in results(ready)["why"]["texts"]] == ["It smells best"]
    # Deleted, the comment counts no more, and the vote before it does.
    facts.write(views, facts.about("c-p0", "d", BRAND, at + timedelta(hours=1), "p0", kind="delete"))
    turn(views)
    assert counts(ready) == {"guji": 1, "huila": 0, "kenya": 3}


def test_a_profile_shows_what_somebody_answered(ready: Served, views: Database[Document]) -> None:
    make(ready)
    at = datetime.now(UTC) - timedelta(hours=4)
    facts.write(views, samples.follower("p0", BRAND, at, name="Ada"), vote("p0", "nyeri"))
    turn(views)
    found = ready.client.get(f"/v1/brands/{BRAND}/followers/{follower_ref('bluesky', 'p0')}").json()["answers"]
    assert [(each["question"], each["answer"], each["by"]) for each in found] == [(ROAST["text"], "Kenya", "vote")]


def test_an_answer_on_the_public_form_counts_once_however_often_it_is_sent(
    ready: Served, views: Database[Document]
) -> None:
    path = path_of(make(ready))
    client, ticket = opened(ready, path)
    sent = {"ticket": ticket, "q.roast": "huila", "q.why": "Fruit"}
    for _ in range(3):
        answer = client.post(path, data=sent)
        assert (answer.status_code, "Thank you" in answer.text) == (200, True), answer.text
    assert client.post(path, data={**sent, "q.roast": "kenya"}).status_code == 200
    assert counts(ready) == {"guji": 0, "huila": 1, "kenya": 0}
    assert results(ready)["why"]["texts"][0]["follower"] is None
    turn(views)
    assert counts(ready) == {"guji": 0, "huila": 1, "kenya": 0}
    client.post(path, data={**sent, "ticket": opened(ready, path)[1], "q.roast": "guji"})
    assert counts(ready) == {"guji": 1, "huila": 1, "kenya": 0}


def test_a_personal_link_takes_one_answer_which_is_the_persons(ready: Served, views: Database[Document]) -> None:
    make(ready)
    at = datetime.now(UTC) - timedelta(hours=4)
    facts.write(views, samples.follower("p0", BRAND, at, name="Ada"), vote("p0", "Kenya"))
    turn(views)
    ref = follower_ref("bluesky", "p0")
    link = ready.client.post(f"{HOME}/next/links", json={"follower": ref})
    assert link.status_code == 201, link.text
    path = link.json()["path"]
    client, ticket = opened(ready, path)
    assert client.post(path, data={"ticket": ticket, "q.roast": "guji"}).status_code == 200
    assert counts(ready) == {"guji": 1, "huila": 0, "kenya": 0}
    again = client.post(path, data={"ticket": ticket, "q.roast": "huila"})
    assert (again.status_code, "Already answered" in again.text) == (409, True)
    assert "Already answered" in client.get(path).text
    # The facts are judged again, and the form's answer is still the latest.
    facts.write(views, vote("p0", "Huila", "earlier"))
    turn(views)
    assert counts(ready) == {"guji": 1, "huila": 0, "kenya": 0}
    answers = ready.client.get(f"/v1/brands/{BRAND}/followers/{ref}").json()["answers"]
    assert [(each["answer"], each["by"]) for each in answers] == [("Guji", "form")]
    assert ready.client.post(f"{HOME}/next/links", json={"follower": "x"}).status_code == 422


def test_a_form_that_is_not_ours_or_wrong_is_refused_beside_the_field_and_keeps_what_was_typed(
    ready: Served, views: Database[Document]
) -> None:
    path = path_of(make(ready))
    client, ticket = opened(ready, path)
    forged = client.post(path, data={"ticket": ticket[:-1] + "0" if ticket[-1] != "0" else "1", "q.why": "Mine"})
    assert (forged.status_code, "Mine" in forged.text) == (403, True)
    other = client.post(path, data={"ticket": ticket, "q.roast": "guji"}, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403
    long = client.post(path, data={"ticket": ticket, "q.why": "x" * 1001})
    assert (long.status_code, "1,001 characters" in long.text, "x" * 1001 in long.text) == (422, True, True)
    none = client.post(path, data={"ticket": ticket})
    assert (none.status_code, "Answer at least one question." in none.text) == (422, True)
    odd = client.post(path, data={"ticket": ticket, "q.roast": "poison"})
    assert (odd.status_code, "Choose one of these answers." in odd.text) == (422, True)
    assert client.post(path, data={"ticket": ticket, "q.why": "x" * 300_000}).status_code == 413
    assert counts(ready) == {"guji": 0, "huila": 0, "kenya": 0}
    assert client.get("/s/nobody", headers={"Accept": "text/html"}).status_code == 404
    policy = client.get(path).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy


def test_a_flood_of_answers_is_stopped(ready: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveys, "PER_ADDRESS", 3)
    path = path_of(make(ready))
    client, ticket = opened(ready, path)
    statuses = [client.post(path, data={"ticket": ticket, "q.roast": "guji"}).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


def test_a_flood_from_one_visitor_stops_nobody_else_behind_the_same_proxy(
    stack: Running, views: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "PER_ADDRESS", 3)
    settings = settings_for(stack.kafka, stack.mongodb, views.name)
    for served in serve(settings.model_copy(update={"trusted_proxies": "127.0.0.0/8"}), ready=True):
        served.brand(BRAND)
        path = path_of(make(served))
        client, ticket = opened(served, path)
        answer = {"ticket": ticket, "q.roast": "guji"}
        by = [*["203.0.113.7"] * 4, "203.0.113.8"]
        statuses = [client.post(path, data=answer, headers={"X-Forwarded-For": each}).status_code for each in by]
        assert statuses == [200, 200, 200, 429, 200]


def test_a_survey_that_is_still_to_come_says_when_and_where_it_is_that_late(ready: Served) -> None:
    begins = datetime(2098, 1, 2, 9, 30, tzinfo=UTC)
    path = path_of(make(ready, starts_at=begins.isoformat(), ends_at=(begins + timedelta(days=2)).isoformat()))
    page = httpx.get(f"{ready.url}{path}").text
    assert "The survey opens on Thu 2 Jan 2098, 10:30 (Europe/Berlin)." in page


def test_a_survey_that_is_over_takes_no_answer(ready: Served) -> None:
    path = path_of(make(ready))
    client, ticket = opened(ready, path)
    ready.client.delete(f"{HOME}/next")
    answer = client.post(path, data={"ticket": ticket, "q.roast": "guji"})
    assert (answer.status_code, "It is over" in answer.text) == (409, True)
    assert counts(ready) == {"guji": 0, "huila": 0, "kenya": 0}


def test_an_erased_person_is_in_no_figure_any_more(ready: Served, views: Database[Document]) -> None:
    make(ready)
    facts.write(views, vote("p0", "Kenya"), vote("p1", "Kenya"))
    turn(views)
    campaigns.forget(views, BRAND, "bluesky", "p0")
    assert counts(ready) == {"guji": 0, "huila": 0, "kenya": 1}
    assert "p0" not in repr(list(views["survey_answers"].find()))


OPTIONS = ROAST["options"]
BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({**ROAST, "options": [{"id": "a", "label": "Yes"}, {"id": "b", "label": "No", "keywords": ["yes"]}]}, "options"),
    ({**ROAST, "options": [{"id": "a", "label": "Yes"}]}, "options"),
    ({**ROAST, "options": [{"id": "a", "label": "Yes"}, {"id": "a", "label": "No"}]}, "options"),
    ({"id": "free", "text": "Why?"}, "post"),
)


@pytest.mark.parametrize(("question", "field"), BAD)
def test_what_is_wrong_with_a_question_is_said_by_field(ready: Served, question: dict[str, Any], field: str) -> None:
    answer = make(ready, question, form=False)
    assert answer.status_code == 422, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [f"survey.questions.0.{field}"]


def test_a_word_that_answers_two_questions_in_one_place_is_refused(ready: Served) -> None:
    other = {"id": "drink", "text": "Which do you drink?", "options": OPTIONS}
    answer = make(ready, ROAST, other, posts=["at://poll"])
    assert [each["field"] for each in answer.json()["errors"]] == ["survey.questions.1.options"]
    assert make(ready, ROAST, other).status_code == 201


def test_answers_in_free_words_come_page_by_page(ready: Served, views: Database[Document]) -> None:
    campaign_data.fill(ready, views, BRAND)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = ready.client.get(f"{HOME}/next/answers", params={"limit": 3, **cursor}).json()
        seen += [each["text"] for each in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == [f"Because it tastes of {number} kinds of fruit" for number in range(7, 0, -1)]
