from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from rapport.contracts.business_hours import Calendar, Override
from rapport.contracts.controls import PolicyRule, PolicyVersion, When
from rapport.kit.mongo import Document
from rapport.local.servers.stack import Running
from services.api.policies.schemas import MOST_CALENDARS, MOST_INTERVALS, MOST_OVERRIDES, MOST_RULES, MOST_WORDS
from tests.services.api.conftest import Served
from tests.services.api.log import controls

pytestmark = pytest.mark.stack

WEEK = {day: [["09:00", "13:00"], ["14:00", "18:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
SUPPORT: dict[str, Any] = {
    "timezone": "Europe/Berlin",
    "week": WEEK,
    "overrides": {"2026-12-24": {"hours": [["09:00", "12:00"]], "name": "Christmas Eve"}, "2026-12-25": {}},
}
RULE: dict[str, Any] = {
    "when": {"platform": "bluesky", "stage": ["trusts", "buys"], "words": ["refund", "too late"], "empty": False},
    "target_seconds": 4 * 3600,
    "calendar": "support",
    "warn_at": [0.5, 0.9],
    "escalate_after_seconds": [1800, 7200],
    "automatic_answers": True,
}
WHOLE: dict[str, Any] = {
    "rules": [RULE, {"when": {"bot": True}, "target_seconds": None}, {"target_seconds": 3600}],
    "calendars": {"support": SUPPORT},
}


def test_a_whole_policy_is_published_and_shown_as_it_was_put(api: Served, stack: Running, database: str) -> None:
    brand = f"b-{database[5:17]}"
    api.brand(brand)
    answer = api.client.put(f"/v1/brands/{brand}/policy", json=WHOLE)
    assert answer.status_code == 200, answer.text
    assert answer.json() == api.client.get(f"/v1/brands/{brand}/policy").json()
    shown = answer.json()
    assert shown["in_force"]
    assert shown["calendars"]["support"]["week"] == WEEK
    assert shown["calendars"]["support"]["overrides"]["2026-12-24"]["name"] == "Christmas Eve"
    assert shown["rules"][0] == {**RULE, "when": {"kind": None, "account": None, "bot": None, **RULE["when"]}}
    assert shown["rules"][1]["target_seconds"] is None
    again = api.client.put(
        f"/v1/brands/{brand}/policy", json={name: shown[name] for name in ("rules", "calendars")}
    ).json()
    assert (again["version"], again["rules"], again["calendars"]) == (2, shown["rules"], shown["calendars"])

    hours = (("09:00", "13:00"), ("14:00", "18:00"))
    for written in controls(stack.kafka, brand).values():
        first, second = (each for each in written if isinstance(each, PolicyVersion))
        assert first.rules == second.rules
        assert first.rules[0] == PolicyRule(
            when=When(platform="bluesky", stage=("trusts", "buys"), words=("refund", "too late"), empty=False),
            target_seconds=4 * 3600,
            calendar="support",
            warn_at=(0.5, 0.9),
            escalate_after_seconds=(1800, 7200),
            automatic_answers=True,
        )
        assert first.rules[1] == PolicyRule(when=When(bot=True), target_seconds=None)
        assert first.calendars == {
            "support": Calendar(
                timezone="Europe/Berlin",
                week={"mon": hours, "tue": hours, "wed": hours, "thu": hours, "fri": hours},
                overrides={
                    "2026-12-24": Override(hours=(("09:00", "12:00"),), name="Christmas Eve"),
                    "2026-12-25": Override(),
                },
            )
        }


def test_one_text_stands_for_a_list_of_one(api: Served) -> None:
    api.brand("aurora")
    rule = {"target_seconds": 60, "when": {"stage": "buys", "words": "refund"}}
    when = api.client.put("/v1/brands/aurora/policy", json={"rules": [rule]}).json()["rules"][0]["when"]
    assert (when["stage"], when["words"]) == (["buys"], ["refund"])


def test_versions_are_listed_newest_first_and_say_which_is_in_force(api: Served, views: Database[Document]) -> None:
    api.brand("aurora")
    path = "/v1/brands/aurora/policy"
    assert api.client.get(f"{path}/versions").json() == {"items": [], "next": None}
    for target in (60, 120, 180):
        api.client.put(path, json={"rules": [{"target_seconds": target}]})
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    planned = api.client.put(path, json={"rules": [{"target_seconds": 240}], "effective_from": tomorrow})
    assert planned.status_code == 200, planned.text
    assert not planned.json()["in_force"]
    found = []
    cursor = None
    while True:
        page = api.client.get(f"{path}/versions?limit=3" + (f"&cursor={cursor}" if cursor else "")).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [(each["version"], each["in_force"]) for each in found] == [(4, False), (3, True), (2, False), (1, False)]
    assert [each["rules"][0]["target_seconds"] for each in found] == [240, 180, 120, 60]
    # As if the second had been planned for now, and the third had been put meanwhile.
    views["policies"].update_one({"version": 2}, {"$set": {"effective_from": datetime.now(UTC)}})
    in_force = [each["version"] for each in api.client.get(f"{path}/versions").json()["items"] if each["in_force"]]
    assert in_force == [2]


def _rule(**more: Any) -> dict[str, Any]:
    return {"rules": [{"target_seconds": 60, **more}]}


def _calendar(**more: Any) -> dict[str, Any]:
    return {**_rule(calendar="office"), "calendars": {"office": {"timezone": "UTC", "week": WEEK, **more}}}


SHORT_WEEK = {"mon": [["09:00", "09:01"]]}
DAYS = [f"{year}-{month:02}-{day:02}" for year in range(2026, 2029) for month in range(1, 13) for day in range(1, 28)]


@pytest.mark.parametrize(
    ("policy", "field", "why"),
    [
        ({}, "rules", "required"),
        ({"rules": [{}]}, "rules.0.target_seconds", "required"),
        (_rule(target_seconds=0), "rules.0.target_seconds", "greater than 0"),
        (_rule(target_seconds=367 * 86400), "rules.0.target_seconds", "less than"),
        (_rule(warn_at=[0.5, 0.5]), "rules.0.warn_at", "ascend"),
        (_rule(warn_at=[1.0]), "rules.0.warn_at.0", "less than 1"),
        (_rule(warn_at=[index / 20 for index in range(1, 12)]), "rules.0.warn_at", "at most 10"),
        (_rule(escalate_after_seconds=[60, 30]), "rules.0.escalate_after_seconds", "ascend"),
        (_rule(escalate_after_seconds=[0]), "rules.0.escalate_after_seconds.0", "greater than 0"),
        (_rule(when={"stage": ["fan"]}), "rules.0.when.stage.0", "new"),
        (_rule(when={"stage": []}), "rules.0.when.stage", "at least 1"),
        (_rule(when={"words": []}), "rules.0.when.words", "at least 1"),
        (_rule(when={"words": [" "]}), "rules.0.when.words.0", "at least 1"),
        (_rule(when={"words": ["ok", "!!"]}), "rules.0.when.words", "has no letter, digit or emoji"),
        (_rule(when={"words": ["w" * 101]}), "rules.0.when.words.0", "at most 100"),
        (_rule(when={"words": ["w"] * (MOST_WORDS + 1)}), "rules.0.when.words", "at most 50"),
        (_rule(when={"kind": "reply"}), "rules.0.when.kind", "comment"),
        (_rule(when={"colour": "red"}), "rules.0.when.colour", "unknown field colour"),
        (_rule(calendar="office"), "rules.0.calendar", "no calendar 'office'"),
        ({"rules": [{"target_seconds": 60}] * (MOST_RULES + 1)}, "rules", "at most 100"),
        (_calendar(week={}), "calendars.office.week", "no weekday has open hours"),
        (_calendar(week={"monday": []}), "calendars.office.week.monday", "mon"),
        (_calendar(week={"mon": [["09:00", "12:00"]] * (MOST_INTERVALS + 1)}), "calendars.office.week.mon", "at most"),
        (_calendar(timezone="Mars/Olympus"), "calendars.office.timezone", "IANA"),
        (_calendar(week={"mon": [["09:00", "12:00"], ["11:00", "18:00"]]}), "calendars.office.week.mon", "overlap"),
        (_calendar(week={"mon": [["9:00", "12:00"]]}), "calendars.office.week.mon", "'9:00' is not a time"),
        (_calendar(week={"mon": [["12:00", "09:00"]]}), "calendars.office.week.mon", "does not start before"),
        (_calendar(overrides={"24.12.": {}}), "calendars.office.overrides.24.12.", "is not a date"),
        (_calendar(overrides={"2026-12-24": {"hours": [["08:00"]]}}), None, "required"),
        (
            _calendar(overrides={day: {} for day in DAYS[: MOST_OVERRIDES + 1]}),
            "calendars.office.overrides",
            "at most 400",
        ),
        (
            {"rules": [], "calendars": {f"c{n}": {"timezone": "UTC", "week": WEEK} for n in range(MOST_CALENDARS + 1)}},
            "calendars",
            "at most 20",
        ),
        ({"rules": [], "calendars": {"$ne": {"timezone": "UTC", "week": WEEK}}}, "calendars.$ne", "letters, digits"),
        (
            {**_calendar(week=SHORT_WEEK), **_rule(calendar="office", target_seconds=86_400)},
            "rules.0.calendar",
            "cannot be reached",
        ),
        (
            {**_calendar(week=SHORT_WEEK), **_rule(calendar="office", escalate_after_seconds=[86_400])},
            "rules.0.calendar",
            "cannot be reached",
        ),
        # As long as the overrides last it could be reached, and never again.
        (
            {
                **_calendar(week=SHORT_WEEK, overrides={day: {"hours": [["00:00", "24:00"]]} for day in DAYS[-400:]}),
                **_rule(calendar="office", target_seconds=86_400),
            },
            "rules.0.calendar",
            "cannot be reached",
        ),
        ({**_rule(), "effective_from": "2026-01-01T00:00:00Z"}, "effective_from", "this time is in the past"),
        ({**_rule(), "effective_from": "2190-01-01T00:00:00Z"}, "effective_from", "more than a year away"),
        ({**_rule(), "effective_from": "9999-12-31T23:59:59-12:00"}, "effective_from", "9998"),
        ({**_rule(), "effective_from": "2030-01-01T00:00:00"}, "effective_from", "needs a zone"),
    ],
)
def test_an_invalid_policy_is_refused_by_field_and_the_old_one_stays(
    api: Served, policy: dict[str, Any], field: str | None, why: str
) -> None:
    api.brand("aurora")
    good: dict[str, Any] = {
        "rules": [{"target_seconds": 60, "calendar": None, "escalate_after_seconds": []}],
        "calendars": {},
    }
    assert api.client.put("/v1/brands/aurora/policy", json=good).status_code == 200
    answer = api.client.put("/v1/brands/aurora/policy", json=policy)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    error = answer.json()["errors"][0]
    assert field is None or error["field"] == field
    assert why in error["why"]
    kept = api.client.get("/v1/brands/aurora/policy").json()
    assert (kept["version"], kept["in_force"]) == (1, True)


def test_everything_that_is_wrong_is_said_at_once(api: Served) -> None:
    api.brand("aurora")
    policy = {
        "rules": [{"target_seconds": 60, "calendar": name} for name in ("office", "night", "nowhere")],
        "calendars": {
            "office": {"timezone": "Mars/Olympus", "week": {"mon": [["09:00", "25:00"]]}},
            "night": {"timezone": "UTC", "week": {}},
        },
    }
    answer = api.client.put("/v1/brands/aurora/policy", json=policy)
    assert [error["field"] for error in answer.json()["errors"]] == [
        "calendars.office.timezone",
        "calendars.office.week.mon",
        "calendars.night.week",
        "rules.2.calendar",
    ]


def test_before_a_brand_has_rules_the_default_is_shown(api: Served) -> None:
    api.brand("aurora")
    policy = api.client.get("/v1/brands/aurora/policy").json()
    assert policy["version"] == 0
    assert policy["in_force"]
    assert policy["rules"][0]["target_seconds"] == 86_400


def _ics(*days: str) -> str:
    events = (f"BEGIN:VEVENT\nDTSTART;VALUE=DATE:{day}\nSUMMARY:Day {day}\nEND:VEVENT\n" for day in days)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{''.join(events)}END:VCALENDAR\n"


def test_the_holidays_of_a_file_are_what_a_calendar_takes(api: Served) -> None:
    api.brand("aurora")
    path = "/v1/brands/aurora/policy/holidays"
    file = _ics("20261224", "20261225", "20280101").replace("DTSTART;VALUE=DATE:20261224", "DTSTART:20261224T120000")
    headers = {"Content-Type": "text/calendar"}
    answer = api.client.post(f"{path}?from=2026-12-01&to=2026-12-31", content=file, headers=headers)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["overrides"] == {"2026-12-25": {"hours": [], "name": "Day 20261225"}}
    assert [each["summary"] for each in found["skipped"]] == ["Day 20261224"]
    calendars = {"office": {"timezone": "UTC", "week": WEEK, "overrides": found["overrides"]}}
    policy = {**_rule(calendar="office"), "calendars": calendars}
    assert api.client.put("/v1/brands/aurora/policy", json=policy).status_code == 200
    for query, content, field, why in (
        ("", b"not a calendar", "body", "BEGIN:VCALENDAR"),
        ("", b"", "body", "empty"),
        ("?from=2026-12-31&to=2026-12-01", file.encode(), "to", "between"),
        ("?from=2026-12-31&to=2036-12-01", file.encode(), "to", "between"),
        ("?from=9999-12-31", file.encode(), "from", "2199"),
        ("?from=2026-01-01&to=2028-01-01", _ics(*(day.replace("-", "") for day in DAYS)).encode(), "body", "at most"),
    ):
        answer = api.client.post(path + query, content=content, headers=headers)
        assert answer.status_code == 422, (query, answer.text)
        assert answer.json()["errors"][0]["field"] == field
        assert why in answer.json()["errors"][0]["why"]
