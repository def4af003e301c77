"""Giveaways: made, counted from the facts, drawn and proven."""

import json
import random
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
import pytest
from pymongo.database import Database

from rapport.contracts.events import Interaction, Object
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api.campaigns import judging
from services.api.campaigns import upkeep as campaigns
from services.api.campaigns.documents import CampaignDocument
from services.api.new_relationships import stage_after
from services.api.projector.upkeep.change_feed import LATER
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts, samples
from tests.services.api.conftest import Served

pytestmark = pytest.mark.stack

BRAND = "aurora"
HOME = f"/v1/brands/{BRAND}/campaigns"
NOW = utc(ms(datetime.now(UTC)))
START, END = NOW - timedelta(days=3), NOW - timedelta(minutes=5)
RULES: dict[str, Any] = {
    "requirements": [{"kind": "comment", "word": "coffee"}, {"kind": "follow"}],
    "winners": 2,
    "alternates": 1,
}


def body(id: str = "spring", **more: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": id,
        "kind": "giveaway",
        "name": "A year of coffee",
        "starts_at": START.isoformat(),
        "ends_at": (NOW + timedelta(days=1)).isoformat(),
        "posts": ["at://post"],
        "giveaway": RULES,
    }
    return {**fields, **more}


def make(api: Served, **more: Any) -> Any:
    answer = api.client.post(HOME, json=body(**more))
    assert answer.status_code == 201, answer.text
    return answer.json()


def over(views: Database[Document], id: str = "spring") -> None:
    """Lets a campaign have ended some minutes ago."""
    views["campaigns"].update_one({"_id": f"{BRAND}/{id}"}, {"$set": {"ends_at": END, "until": END}})


def words(page: str) -> str:
    """A page without its markup."""
    return re.sub(r"<[^>]+>", "", page)


def told(at: datetime) -> str:
    """A time as the public pages of a brand in Berlin tell it."""
    return f"{at.astimezone(ZoneInfo('Europe/Berlin')):%a %-d %b %Y, %H:%M} (Europe/Berlin)"


def turn(views: Database[Document], now: datetime | None = None) -> None:
    run = TaskRun(views, None, now or datetime.now(UTC))
    campaigns.follow(run)
    stage_after.follow(run)


def settle(views: Database[Document]) -> None:
    for number in range(3):
        turn(views, datetime.now(UTC) + number * (LATER + timedelta(seconds=1)))
    assert views["stale"].count_documents({"what": "campaigns"}) == 0


def comment(who: str, at: datetime, text: str = "coffee", id: str | None = None, **more: Any) -> Interaction:
    return facts.on("post", id or f"c-{who}", BRAND, at, who, text=text, **more)


def followed(who: str, at: datetime, **more: Any) -> Interaction:
    return facts.about(f"f-{who}", f"f-{who}", BRAND, at, who, kind="follow", **more)


def crowd(count: int) -> list[Interaction]:
    at = START + timedelta(hours=1)
    return [each for number in range(count) for each in (comment(f"p{number}", at), followed(f"p{number}", at))]


def listed(api: Served, valid: bool = True) -> dict[str, Any]:
    answer = api.client.get(f"{HOME}/spring/entries", params={"valid": valid, "limit": 200})
    assert answer.status_code == 200, answer.text
    return {each["follower"]["platform_id"]: each for each in answer.json()["items"]}


@pytest.fixture
def ready(api: Served) -> Served:
    api.brand(BRAND)
    return api


def test_entries_are_the_followers_who_fulfil_the_rules_and_the_others_say_why_not(
    ready: Served, views: Database[Document]
) -> None:
    make(ready)
    at = START + timedelta(hours=1)
    facts.write(
        views,
        *crowd(2),
        comment("late-follower", at),
        comment("wordless", at, "tea"),
        followed("wordless", at),
        comment("again", at, id="a1"),
        comment("again", at + timedelta(hours=1), id="a2"),
        followed("again", START - timedelta(days=40)),
    )
    turn(views)
    assert set(listed(ready)) == {"p0", "p1", "again"}
    assert listed(ready)["again"]["duplicates"] == 1
    assert [each["interaction"] for each in listed(ready)["again"]["fulfilled"]] == ["a1", "f-again"]
    refused = listed(ready, valid=False)
    assert {who: each["reasons"] for who, each in refused.items()} == {
        "late-follower": ["not_following"],
        "wordless": ["word_missing"],
    }
    some = ready.client.get(f"{HOME}/spring/entries", params={"reason": "word_missing"}).json()["items"]
    assert [each["follower"]["platform_id"] for each in some] == ["wordless"]
    results = ready.client.get(f"{HOME}/spring/results").json()
    assert (results["valid"], results["refused"], results["duplicates"]) == (3, 2, 1)
    assert {each["reason"]: each["count"] for each in results["reasons"]} == {"not_following": 1, "word_missing": 1}
    assert ready.client.get(f"{HOME}/spring").json()["valid"] == 3


def test_late_edited_deleted_and_undone_facts_leave_the_figures_right_in_any_order(
    ready: Served, views: Database[Document]
) -> None:
    make(ready)
    at, later = START + timedelta(hours=1), START + timedelta(hours=30)
    told = [
        *crowd(4),
        facts.about("c-p0", "d-p0", BRAND, later, "p0", kind="delete"),
        facts.about("c-p1", "e-p1", BRAND, later, "p1", kind="edit", text="tea after all"),
        facts.about("f-p2", "u-p2", BRAND, later, "p2", kind="follow", undo=True),
        facts.about("c-p3", "h-p3", BRAND, later, "brand-person", kind="hide"),
        facts.about("c-p3", "s-p3", BRAND, later + timedelta(hours=1), "brand-person", kind="unhide"),
        comment("p4", at, "tea"),
        facts.about("c-p4", "e-p4", BRAND, later, "p4", kind="edit", text="coffee"),
        followed("p4", at),
    ]
    random.Random(5).shuffle(told)
    for each in told:
        facts.write(views, each)
        turn(views)
    settle(views)
    assert set(listed(ready)) == {"p3", "p4"}
    assert {who: each["reasons"] for who, each in listed(ready, valid=False).items()} == {
        "p0": ["taken_back"],
        "p1": ["word_missing"],
        "p2": ["not_following"],
    }
    results = ready.client.get(f"{HOME}/spring/results").json()
    assert (results["valid"], results["refused"]) == (2, 3)
    assert {each["reason"]: each["count"] for each in results["reasons"]} == {
        "taken_back": 1,
        "word_missing": 1,
        "not_following": 1,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("h", "brand-person", {"kind": "hide", "object": Object(id="at://c-p0")}), "taken_back"),
        (("u", "p0", {"kind": "follow", "undo": True, "object": Object(id="at://f-p0")}), "not_following"),
        (("b", "p0", {"kind": "block"}), "blocked"),
    ],
)
def test_what_names_no_campaign_and_comes_alone_still_reaches_the_entry_that_rests_on_it(
    ready: Served, views: Database[Document], change: tuple[str, str, dict[str, Any]], reason: str
) -> None:
    make(ready)
    facts.write(views, *crowd(1))
    turn(views)
    assert set(listed(ready)) == {"p0"}
    name, who, fields = change
    facts.write(views, facts.about(name, name, BRAND, START + timedelta(hours=30), who, **fields))
    turn(views)
    assert listed(ready) == {}
    assert listed(ready, valid=False)["p0"]["reasons"] == [reason]


def test_a_campaign_that_began_before_it_was_made_finds_what_is_there_already(
    ready: Served, views: Database[Document]
) -> None:
    facts.write(views, *crowd(3))
    make(ready)
    turn(views)
    assert len(listed(ready)) == 3


def test_a_draw_is_made_once_after_the_end_and_is_what_the_seed_draws(ready: Served, views: Database[Document]) -> None:
    made = make(ready, ends_at=(NOW + timedelta(days=1)).isoformat())
    before = ready.client.get(f"{HOME}/spring/draw").json()
    assert (before["commitment"], before["seed"]) == (made["giveaway"]["commitment"], None)
    facts.write(views, *crowd(9))
    turn(views)
    early = ready.client.post(f"{HOME}/spring/draw", json={})
    assert (early.status_code, "goes on until" in early.json()["detail"]) == (409, True)
    over(views)
    turn(views)
    drawn = ready.client.post(f"{HOME}/spring/draw", json={"beacon": "4 8 15 16 23 42"})
    assert drawn.status_code == 201, drawn.text
    found = drawn.json()
    assert (found["entries"], len(found["winners"]), len(found["alternates"])) == (9, 2, 1)
    assert {each["follower"]["platform_id"] for each in found["winners"]} < {f"p{number}" for number in range(9)}
    again = ready.client.post(f"{HOME}/spring/draw", json={})
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    assert ready.client.get(f"{HOME}/spring").json()["state"] == "drawn"


def test_what_comes_after_the_draw_changes_nothing_that_was_drawn_from(
    ready: Served, views: Database[Document]
) -> None:
    make(ready)
    facts.write(views, *crowd(5))
    over(views)
    turn(views)
    assert ready.client.post(f"{HOME}/spring/draw", json={}).status_code == 201
    at = START + timedelta(hours=1)
    facts.write(views, comment("p9", at), followed("p9", at), facts.about("c-p0", "d", BRAND, at, "p0", kind="delete"))
    settle(views)
    assert set(listed(ready)) == {f"p{number}" for number in range(5)}


def test_whoever_judges_while_a_draw_is_made_changes_nothing_after_it(ready: Served, views: Database[Document]) -> None:
    make(ready)
    facts.write(views, *crowd(4))
    over(views)
    turn(views)
    before = cast("CampaignDocument", views["campaigns"].find_one({"_id": f"{BRAND}/spring"}))
    assert ready.client.post(f"{HOME}/spring/draw", json={}).status_code == 201
    at = START + timedelta(hours=1)
    facts.write(views, comment("p9", at), followed("p9", at))
    judging.judge(TaskRun(views, None, datetime.now(UTC)), before, {("bluesky", "p9")})
    assert "p9" not in listed(ready)
    assert ready.client.get(f"{HOME}/spring/results").json()["valid"] == 4


def test_the_public_proof_is_checked_by_its_own_script_and_names_nobody(
    ready: Served, views: Database[Document], tmp_path: Path
) -> None:
    proof = make(ready)["giveaway"]["proof"]
    facts.write(views, *crowd(40), *(samples.follower(f"p{number}", BRAND, START) for number in range(40)))
    anybody = httpx.Client(base_url=ready.url)
    script = tmp_path / "verify.py"
    script.write_text(anybody.get(f"{proof}/verify.py").text)

    def check(document: Any) -> tuple[int, str]:
        (tmp_path / "proof.json").write_text(json.dumps(document))
        ran = subprocess.run([sys.executable, "-I", script, tmp_path / "proof.json"], capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    before = anybody.get(f"{proof}.json").json()
    assert (before["drawn_at"], "seed" in before) == (None, False)
    assert check(before) == (1, "WRONG: nothing has been drawn yet\n")
    page = anybody.get(proof).text
    assert before["commitment"] in page
    assert f"The giveaway ends on {told(NOW + timedelta(days=1))}" in words(page)
    assert f"From {told(START)} to {told(NOW + timedelta(days=1))}." in words(page)
    over(views)
    assert f"The giveaway ended on {told(END)}, and the proof will be here." in words(anybody.get(proof).text)
    turn(views)
    drawn = ready.client.post(f"{HOME}/spring/draw", json={"beacon": "4 8 15 ☕"}).json()
    found = anybody.get(f"{proof}.json").json()
    assert check(found) == (0, "RIGHT: 2 winners of 40 entries follow from the seed.\n")
    for name, other in (
        ("seed", "00" * 32),
        ("beacon", "4 8 15"),
        ("digest", "00" * 32),
        ("entries", found["entries"][1:]),
        ("entries", found["entries"][::-1]),
        ("winners", found["alternates"] + found["winners"][1:]),
    ):
        code, said = check({**found, name: other})
        assert (code, said.startswith("WRONG: ")) == (1, True), name
    shown = anybody.get(proof).text + anybody.get(f"{proof}.json").text
    assert found["seed"] in shown
    assert not re.search(r"\bp\d+\b|did:plc", shown)
    # Only where the agency says so are the winners named.
    ready.client.patch(f"{HOME}/spring/draw", json={"show_winners": True})
    winner = drawn["winners"][0]["follower"]
    named = anybody.get(f"{proof}.json").json()["handles"]
    assert set(named) == {each["hash"] for each in drawn["winners"]}
    assert (winner["handle"] or winner["name"] or winner["platform_id"]) in anybody.get(proof).text
    assert anybody.get("/proof/nobody.json").status_code == 404


def test_more_winners_than_entries_are_refused_with_both_numbers(ready: Served, views: Database[Document]) -> None:
    make(ready)
    facts.write(views, *crowd(1))
    over(views)
    turn(views)
    answer = ready.client.post(f"{HOME}/spring/draw", json={})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "winners", "why": "2 winners cannot be drawn from 1 valid entry"},
    ]
    assert ready.client.get(f"{HOME}/spring").json()["state"] == "ended"


def test_a_draw_waits_until_the_last_entries_are_counted(ready: Served, views: Database[Document]) -> None:
    make(ready)
    facts.write(views, *crowd(3))
    turn(views, END - timedelta(hours=1))
    over(views)
    answer = ready.client.post(f"{HOME}/spring/draw", json={})
    assert (answer.status_code, "still being counted" in answer.json()["detail"]) == (409, True)


def test_a_promised_beacon_has_to_be_given(ready: Served, views: Database[Document]) -> None:
    make(ready, giveaway={**RULES, "beacon_source": "the lottery of Saturday"})
    facts.write(views, *crowd(3))
    over(views)
    turn(views)
    answer = ready.client.post(f"{HOME}/spring/draw", json={})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "beacon")
    assert ready.client.post(f"{HOME}/spring/draw", json={"beacon": "1 2 3"}).status_code == 201


def test_a_winner_is_replaced_by_the_next_alternate_only_and_that_is_recorded(
    ready: Served, views: Database[Document]
) -> None:
    make(ready)
    facts.write(views, *crowd(6))
    over(views)
    turn(views)
    drawn = ready.client.post(f"{HOME}/spring/draw", json={}).json()
    out, alternate = drawn["winners"][0]["hash"], drawn["alternates"][0]["hash"]
    said = {"winner": out, "why": "Did not answer for a week."}
    answer = ready.client.post(f"{HOME}/spring/draw/replacements", json=said)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert [(each["hash"], each["replaced"]) for each in found["winners"]] == [
        (out, True),
        (drawn["winners"][1]["hash"], False),
        (alternate, False),
    ]
    assert [(each["winner"], each["alternate"], each["by"]) for each in found["replaced"]] == [
        (out, alternate, "administrator")
    ]
    assert ready.client.post(f"{HOME}/spring/draw/replacements", json=said).status_code == 422
    said["winner"] = alternate
    assert ready.client.post(f"{HOME}/spring/draw/replacements", json=said).status_code == 409


BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"ends_at": (START - timedelta(days=1)).isoformat()}, "ends_at"),
    ({"ends_at": END.isoformat()}, "ends_at"),
    ({"giveaway": {"requirements": []}}, "giveaway.requirements"),
    ({"giveaway": {**RULES, "winners": 0}}, "giveaway.winners"),
    ({"giveaway": None}, "giveaway"),
    ({"accounts": ["nobody"]}, "accounts.0"),
    ({"posts": []}, "posts"),
    ({"giveaway": {"requirements": [{"kind": "share", "word": "x"}]}}, "giveaway.requirements.0.word"),
    ({"giveaway": {"requirements": [{"kind": "entry"}, {"kind": "entry"}]}}, "giveaway.requirements.1.kind"),
    ({"id": "Not An Id"}, "id"),
    ({"starts_at": "2026-01-01T00:00:00"}, "starts_at"),
)


@pytest.mark.parametrize(("wrong", "field"), BAD)
def test_what_is_wrong_with_a_campaign_is_said_by_field(ready: Served, wrong: dict[str, Any], field: str) -> None:
    answer = ready.client.post(HOME, json=body(**wrong))
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in [each["field"] for each in answer.json()["errors"]]
    assert all(each["why"] for each in answer.json()["errors"])


def test_terms_change_until_the_start_and_not_after_it(ready: Served, views: Database[Document]) -> None:
    make(ready, starts_at=(NOW + timedelta(hours=1)).isoformat())
    changed = ready.client.patch(f"{HOME}/spring", json={"name": "Two years", "hashtag": "#coffee"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["name"], changed.json()["hashtag"]) == ("Two years", "coffee")
    wrong = ready.client.patch(f"{HOME}/spring", json={"ends_at": NOW.isoformat()})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "ends_at")
    assert ready.client.post(HOME, json=body()).status_code == 409
    make(ready, id="begun")
    assert ready.client.patch(f"{HOME}/begun", json={"name": "x"}).status_code == 409


def test_a_campaign_that_is_ended_keeps_what_it_has_come_to_and_takes_no_more(
    ready: Served, views: Database[Document]
) -> None:
    make(ready)
    facts.write(views, *crowd(3))
    turn(views)
    ended = ready.client.delete(f"{HOME}/spring").json()
    assert (ended["state"], ended["ended_at"] is not None, ended["valid"]) == ("ended", True, 3)
    after = datetime.now(UTC) + timedelta(hours=1)
    facts.write(views, comment("p8", after), followed("p8", after))
    turn(views, after + timedelta(hours=1))
    assert set(listed(ready)) == {"p0", "p1", "p2"}
    assert listed(ready, valid=False)["p8"]["reasons"] == ["too_late", "not_following"]


def test_campaigns_are_listed_by_state_and_page(ready: Served) -> None:
    for number in range(3):
        make(ready, id=f"running-{number}")
    make(ready, id="planned", starts_at=(NOW + timedelta(hours=1)).isoformat())
    make(ready, id="ended")
    ready.client.delete(f"{HOME}/ended")
    for state in ("planned", "ended"):
        assert [each["id"] for each in ready.client.get(HOME, params={"state": state}).json()["items"]] == [state]
    first = ready.client.get(HOME, params={"state": "running", "limit": 2}).json()
    second = ready.client.get(HOME, params={"state": "running", "limit": 2, "cursor": first["next"]}).json()
    assert {each["id"] for each in first["items"] + second["items"]} == {f"running-{number}" for number in range(3)}
    assert second["next"] is None


def test_an_erased_person_is_in_no_figure_any_more_and_the_draw_stays_provable(
    ready: Served, views: Database[Document]
) -> None:
    make(ready)
    facts.write(views, *crowd(6))
    over(views)
    turn(views)
    drawn = ready.client.post(f"{HOME}/spring/draw", json={}).json()
    winner = drawn["winners"][0]["follower"]["platform_id"]
    campaigns.forget(views, BRAND, "bluesky", winner)
    assert winner not in listed(ready)
    assert ready.client.get(f"{HOME}/spring/results").json()["valid"] == 5
    found = ready.client.get(f"{HOME}/spring/draw").json()
    assert (found["entries"], found["winners"][0]["follower"]) == (6, None)
    assert (found["winners"][0]["hash"], found["digest"]) == (drawn["winners"][0]["hash"], drawn["digest"])
    for name in ("campaigns", "campaign_entries", "campaign_draws", "stage_after", "survey_answers"):
        assert winner not in repr(list(views[name].find())), name


def test_relationships_that_a_campaign_started_are_held_against_the_others(
    ready: Served, views: Database[Document]
) -> None:
    make(ready)
    long_ago = NOW - timedelta(days=100)
    views["campaigns"].update_one(
        {"_id": f"{BRAND}/spring"},
        {"$set": {"starts_at": long_ago, "until": NOW, "followed_until": NOW + timedelta(days=90)}},
    )
    at, young = long_ago + timedelta(hours=1), NOW - timedelta(days=1)
    lively = {(at + timedelta(days=29)).date().isoformat(): {"comment": 5}}

    def row(who: str, first: datetime, days: dict[str, dict[str, int]]) -> Any:
        return samples.follower(who, BRAND, first, days=days, first_seen=first)

    facts.write(
        views,
        row("came", at, lively),
        comment("came", at),
        row("came-by-follow", at, {}),
        followed("came-by-follow", at),
        comment("came-by-follow", at + timedelta(hours=1)),
        row("otherwise", at, {}),
        facts.on("other", "o", BRAND, at, "otherwise", text="hello"),
        row("young", young, {}),
        comment("young", young),
    )
    settle(views)
    found = ready.client.get(f"{HOME}/spring/effect").json()
    assert found["campaign_started"]["started"] == 3
    assert found["otherwise"]["started"] == 1
    after_30, after_90 = found["campaign_started"]["after"]
    assert (after_30["days"], after_30["followers"], after_30["young"]) == (30, 2, 1)
    assert {each["stage"]: each["count"] for each in after_30["stages"]} == {
        "knows": 1,
        "likes": 0,
        "trusts": 0,
        "buys": 0,
    }
    assert after_30["stages"][0]["share"]["value"] == 0.5
    assert 0 < after_30["stages"][0]["share"]["low"] < 0.5 < after_30["stages"][0]["share"]["high"] < 1
    assert (after_90["followers"], after_90["young"]) == (2, 1)
    # What is told again, or later, is counted once.
    facts.write(views, row("came", at, lively), comment("came", at))
    settle(views)
    assert ready.client.get(f"{HOME}/spring/effect").json() == found
    # As time passes, the young ones come of age without anything else happening.
    turn(views, NOW + timedelta(days=40))
    after_30 = ready.client.get(f"{HOME}/spring/effect").json()["campaign_started"]["after"][0]
    assert (after_30["followers"], after_30["young"]) == (3, 0)
    campaigns.forget(views, BRAND, "bluesky", "came")
    assert ready.client.get(f"{HOME}/spring/effect").json()["campaign_started"]["started"] == 2


def test_of_two_first_interactions_of_one_moment_the_same_one_counts_whichever_came_last(
    ready: Served, views: Database[Document]
) -> None:
    at = START + timedelta(hours=1)
    row = samples.follower("both", BRAND, at, first_seen=at)
    facts.write(views, row, facts.on("other", "z", BRAND, at, "both", text="hello"))
    settle(views)
    noted = {"_id": f"{BRAND}/bluesky/both"}
    assert views["stage_after"].find_one(noted, {"_id": 0, "interaction": 1}) == {"interaction": "z"}
    again = samples.follower("both", BRAND, at, first_seen=at, revision=row.revision + 1)
    facts.write(views, facts.on("other", "a", BRAND, at, "both", text="hello"), again)
    settle(views)
    found = views["stage_after"].find_one(noted)
    assert found is not None
    assert found["interaction"] == "a"
    assert found == stage_after.made(views, BRAND, [noted["_id"]], datetime.now(UTC), recompute=True)[noted["_id"]]


def test_a_week_that_loses_its_only_newcomer_to_an_earlier_one_is_not_counted_any_more(
    ready: Served, views: Database[Document]
) -> None:
    """History may arrive after what is new."""
    at = START + timedelta(hours=1)
    earlier = at - timedelta(weeks=1)
    row = samples.follower("ada", BRAND, at, first_seen=at)
    facts.write(views, row, facts.on("other", "late", BRAND, at, "ada", text="hello"))
    settle(views)
    (week,) = views["stage_weeks"].distinct("week")
    before = samples.follower("ada", BRAND, at, first_seen=earlier, revision=row.revision + 1)
    facts.write(views, facts.on("other", "first", BRAND, earlier, "ada", text="hello"), before)
    settle(views)
    (known,) = views["stage_weeks"].find()
    assert known["followers"] == 1
    assert known["week"] < week


def test_a_survey_draws_nothing(ready: Served) -> None:
    questions = [{"id": "q", "text": "Which?", "options": [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]}]
    make(ready, kind="survey", giveaway=None, survey={"questions": questions})
    assert ready.client.get(f"{HOME}/spring/draw").status_code == 404
