"""A brand's campaigns for tests: a giveaway that is over, one that goes on, and a survey, with those who took part."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.campaigns import upkeep as campaigns
from services.api.new_relationships import stage_after
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts, samples
from tests.services.api.conftest import Served

ROAST = {
    "id": "roast",
    "text": "What do we roast next?",
    "options": [
        {"id": "guji", "label": "Guji"},
        {"id": "huila", "label": "Huila"},
        {"id": "kenya", "label": "Kenya", "keywords": ["nyeri"]},
    ],
}
WHY = {"id": "why", "text": "And why?", "post": "at://why"}
GIVEAWAY = {"requirements": [{"kind": "comment", "word": "coffee"}, {"kind": "follow"}], "winners": 2, "alternates": 2}
PEOPLE = ("Mira Okafor", "Jonas Berg", "Priya Raman", "Tomás Herrera", "Aiko Tanaka", "Léa Fontaine", "Sam Whitaker")
TERMS: dict[str, dict[str, Any]] = {
    "spring": {"kind": "giveaway", "name": "A year of coffee", "posts": ["at://post"], "giveaway": GIVEAWAY},
    "summer": {"kind": "giveaway", "name": "A grinder", "hashtag": "summergrinder", "giveaway": GIVEAWAY},
    "next": {"kind": "survey", "name": "The next roast", "survey": {"questions": [ROAST, WHY], "form": True}},
}
LATER: dict[str, Any] = {
    "id": "later",
    "starts_at": (datetime.now(UTC) + timedelta(days=2)).isoformat(),
    "ends_at": (datetime.now(UTC) + timedelta(days=3)).isoformat(),
    **TERMS["summer"],
}


def fill(api: Served, views: Database[Document], brand: str) -> None:
    """Makes the campaigns and what people did; `spring` has just ended and is not drawn."""
    now = datetime.now(UTC)
    start = now - timedelta(days=3)
    for name, terms in TERMS.items():
        window = {"starts_at": start.isoformat(), "ends_at": (now + timedelta(days=1)).isoformat()}
        answer = api.client.post(f"/v1/brands/{brand}/campaigns", json={"id": name, **window, **terms})
        assert answer.status_code == 201, answer.text
    for number, person in enumerate(PEOPLE):
        who, at = f"did:plc:{person.split()[0].lower()}", start + timedelta(hours=number + 1)
        said = "Tea for me" if number == 5 else "Coffee, of course!"
        vote = ROAST["options"][number % 2 * 2]["label"]  # type: ignore[index]
        about = {"campaign": "next", "text": vote, "kind": "vote", "post": None, "parent": None}
        facts.write(
            views,
            samples.follower(who, brand, at, name=person, handle=f"{who.rpartition(':')[2]}.example"),
            facts.on("post", f"c-{number}", brand, at, who, text=said),
            facts.about(f"f-{number}", f"f-{number}", brand, at, who, kind="follow", undo=number == 6),
            facts.about(f"v-{number}", f"v-{number}", brand, at, who, **about),
            facts.on("why", f"w-{number}", brand, at, who, text=f"Because it tastes of {number + 1} kinds of fruit"),
        )
    end = now - timedelta(minutes=1)
    views["campaigns"].update_one({"_id": f"{brand}/spring"}, {"$set": {"ends_at": end, "until": end}})
    turn(views)


def turn(views: Database[Document], now: datetime | None = None) -> None:
    """One turn of the upkeep for campaigns."""
    run = TaskRun(views, None, now or datetime.now(UTC))
    campaigns.follow(run)
    stage_after.follow(run)
