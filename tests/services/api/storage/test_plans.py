"""Every query of the read side is on an index: MongoDB is asked for the plan of each that the routes cause."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.codec_options import DatetimeConversion
from pymongo import monitoring
from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.campaigns import upkeep as campaigns
from services.api.charges import gauges as charge_gauges
from services.api.communities import judging as community_judging
from services.api.connecting import renewing
from services.api.http.ids import follower_ref
from services.api.interactions.documents import hour_of
from services.api.overview import gauges
from services.api.projector import hourly
from services.api.publishing import service as publishing
from tests.e2e import portal_data
from tests.services.api import facts
from tests.services.api.calendar import data as calendar_data
from tests.services.api.campaigns import data as campaign_data
from tests.services.api.communities import data as community_data
from tests.services.api.conftest import Served

pytestmark = pytest.mark.stack

QUERIES = ("find", "aggregate", "count", "distinct", "update", "findAndModify", "delete")


class _Heard(monitoring.CommandListener):
    """Keeps each different command that queries."""

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in QUERIES:
            dropped = {"lsid", "txnNumber", "$clusterTime", "$db", "$readPreference", "writeConcern", "apiVersion"}
            dropped |= {"startTransaction", "autocommit", "readConcern"}
            self.commands.append({name: value for name, value in event.command.items() if name not in dropped})

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Of no interest."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Of no interest."""


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> _Heard:
    """Hears every client that is made after it. What the API looks for every so often, it looks for all the time."""
    for module in (charge_gauges, gauges, renewing):
        monkeypatch.setattr(module, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(renewing, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(publishing, "LOOK_EVERY_SECONDS", 0.1)
    listener = _Heard()
    monkeypatch.setattr(monitoring, "_LISTENERS", monitoring._Listeners([listener], [], [], [], []))
    return listener


def _stages(plan: Any) -> set[str]:
    found: set[str] = set()
    if isinstance(plan, dict):
        if isinstance(plan.get("stage"), str):
            found.add(plan["stage"])
        for name, value in plan.items():
            if name not in ("rejectedPlans", "command"):
                found |= _stages(value)
    elif isinstance(plan, list):
        for each in plan:
            found |= _stages(each)
    return found


def test_no_route_scans_a_collection(heard: _Heard, own_api: Served, views: Database[Document]) -> None:
    api = own_api
    portal_data.fill(views)
    facts.write(views, *facts.lately(portal_data.BRAND))
    facts.turns(views)
    campaign_data.fill(api, views, portal_data.BRAND)
    community_data.fill(api, views, portal_data.BRAND)
    calendar_data.fill(api, views, portal_data.BRAND)
    follower = follower_ref("bluesky", "did:plc:1")
    keys = [None, api.key([portal_data.BRAND, portal_data.OTHER], "admin"), api.key([portal_data.BRAND], "admin")]
    paths = [
        "/v1/brands",
        "/v1/overview",
        "/v1/relationships/scoring",
        "/v1/relationships/scoring/versions",
        "/v1/keys",
        *(f"/v1/exchanges?state={state}&limit=2" for state in ("open", "answered", "superseded")),
        "/v1/exchanges?limit=8",
        *(
            f"/v1/brands/{portal_data.BRAND}/{path}"
            for path in (
                *(
                    "overview",
                    "movers",
                    "answering",
                    "identities?limit=1",
                    "identities/log?limit=1",
                    "identities/suggestions",
                    "policy",
                    "policy/versions?limit=1",
                    "accounts",
                    "platform-lag",
                    "alerts?limit=1",
                    "alerts?step=breach",
                    "alerts?exchange=open-1",
                ),
                *("mix", "mix/settings", "mix/posts?limit=1", "mix/posts?label=unsorted&limit=1", "new", "new/goal"),
                *(f"new/{datetime.now(UTC).date()}?limit=1", "outreach?limit=1", "outreach/today"),
                *("exchanges?limit=2", "exchanges?limit=8", "exchanges?breached=true", "exchanges?platform=bluesky"),
                *(f"exchanges?follower={follower}", "exchanges/open-1", f"followers/{follower}"),
                *("campaigns?limit=1", *(f"campaigns?state={state}" for state in ("planned", "running", "ended"))),
                *("campaigns/spring", "campaigns/spring/entries?limit=1", "campaigns/spring/entries?valid=false"),
                *("campaigns/spring/entries?reason=not_following&limit=1", "campaigns/spring/draw"),
                *("campaigns/next/results", "campaigns/next/answers?limit=1", "campaigns/spring/effect"),
                *("communities?limit=1", "communities/coffee", "communities/coffee/members?limit=1"),
                "communities/coffee/events?limit=1",
                *("calendar", "calendar?limit=1", "calendar/posts/roast", "calendar/settings"),
                *("consistency", "consistency?from=2026-01-01&to=2026-12-31", "consistency/rhythm"),
                *(f"followers?limit=1&sort={sort}" for sort in ("know", "like", "trust", "last_seen")),
                *(f"followers?stage={stage}&sort=trust" for stage in ("new", "knows", "likes", "trusts", "buys")),
            )
        ),
    ]
    for key in keys:
        client = api.with_key(key) if key else api.client
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.text)
            if answer.json().get("next"):
                joined = "&" if "?" in path else "?"
                assert client.get(f"{path}{joined}cursor={answer.json()['next']}").status_code == 200
    home = f"/v1/brands/{portal_data.BRAND}"
    for _ in range(2):
        assert api.client.put(f"{home}/policy", json={"rules": []}).status_code == 200
    assert api.client.get(f"{home}/policy/versions?limit=1").json()["next"]
    stages = [{"when": {"stage": ["new"]}, "target_seconds": 60}]
    assert api.client.post(f"{home}/policy/preview", json={"rules": stages}).json()["current"]["exchanges"] > 20
    account = {"id": f"a-{views.name}", "platform": "bluesky", "handle": "a"}
    for method, path, body in (
        ("post", "accounts", account),
        ("patch", f"accounts/{account['id']}", {"handle": "b"}),
        ("delete", f"accounts/{account['id']}", None),
        ("post", "accounts", account),
        ("post", "exchanges/open-2/no-reply-needed", {"why": "x"}),
        ("put", "mix/settings", {"rules": [{"label": "personal", "hashtag": "team"}]}),
        ("put", f"mix/posts/{follower_ref('bluesky', 'lately-2')}/label", {"label": "business"}),
        ("delete", f"mix/posts/{follower_ref('bluesky', 'lately-2')}/label", None),
        ("put", "consistency/rhythm", {"posts_per_week": 3, "accounts": {calendar_data.ACCOUNT: 2}}),
        ("put", "new/goal", {"goal": 3}),
        ("post", "communities/check", {"rule": community_data.RULES["coffee"]}),
        ("get", "communities/coffee/export", None),
        ("put", "communities/coffee", {"name": "Coffee", "rule": "trust > 2"}),
        ("delete", "communities/away", None),
        ("post", "calendar/posts/roast/approve", None),
        ("get", "calendar/export", None),
        ("post", "calendar/feed", None),
        ("put", f"calendar/matches/{follower_ref('bluesky', 'free')}", {"plan": "gone"}),
        ("delete", f"calendar/matches/{follower_ref('bluesky', 'free')}", None),
        ("put", "calendar/settings", {}),
        ("delete", "calendar/posts/idea", None),
        ("post", "campaigns", campaign_data.LATER),
        ("patch", "campaigns/later", {"name": "Much later"}),
        ("delete", "campaigns/later", None),
        ("post", "campaigns/next/links", {"follower": follower}),
        ("post", "campaigns/spring/draw", {}),
        ("get", "campaigns/spring/draw", None),
        ("patch", "campaigns/spring/draw", {"show_winners": True}),
    ):
        assert api.client.request(method, f"{home}/{path}", json=body).is_success, path
    assert api.client.delete("/v1/keys/nobody").status_code == 404
    hourly.recount(views, {(portal_data.BRAND, hour_of(datetime.now(UTC)))})
    facts.upkeep(views)
    winner = api.client.get(f"{home}/campaigns/spring/draw").json()
    said = {"winner": winner["winners"][0]["hash"], "why": "Cannot be reached."}
    assert api.client.post(f"{home}/campaigns/spring/draw/replacements", json=said).is_success
    assert api.client.get(f"{winner['proof']}.json").is_success
    campaign_data.turn(views, datetime.now(UTC) + timedelta(days=40))
    campaigns.forget(views, portal_data.BRAND, "bluesky", "did:plc:mira")
    community_data.turn(views, datetime.now(UTC) + timedelta(days=40))
    community_judging.forget(views, portal_data.BRAND, "bluesky", "did:plc:mira", datetime.now(UTC))

    asked = [each for each in heard.commands if not str(next(iter(each.values()))).startswith("$cmd")]
    assert {next(iter(each)) for each in asked} >= {"find", "aggregate", "update"}
    different = {repr(each): each for each in asked}.values()
    assert len(different) > 60
    scans = []
    for command in different:
        for batch in {"updates", "deletes"} & command.keys():
            command = {**command, batch: command[batch][:1]}
        # The bounds of an index range reach further than a datetime does.
        codec = views.codec_options.with_options(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
        plan = views.command("explain", command, verbosity="queryPlanner", codec_options=codec)
        if "COLLSCAN" in _stages(plan):
            scans.append(command)
    assert not scans
