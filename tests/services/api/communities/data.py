"""A brand's communities for tests: by words and a campaign, by time, and by what people did; with their members."""

from datetime import UTC, datetime

from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.communities import upkeep as communities
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api.conftest import Served

RULES = {
    "coffee": 'wrote "coffee" or entered "spring"',
    "away": "last seen more than 7 days ago and bot is no",
    "regulars": "stage is at least knows and (trust > 20 or comments >= 3) and last seen within 30 days",
}
NAMES = {"coffee": "Coffee lovers", "away": "Gone quiet", "regulars": "Regulars"}


def fill(api: Served, views: Database[Document], brand: str) -> None:
    """Makes them, of the campaigns and followers that are there, and goes through the followers."""
    for name, rule in RULES.items():
        content = {"id": name, "name": NAMES[name], "rule": rule}
        answer = api.client.post(f"/v1/brands/{brand}/communities", json=content)
        assert answer.status_code == 201, answer.text
    turn(views)


def turn(views: Database[Document], now: datetime | None = None) -> None:
    """One turn of the upkeep for communities."""
    run = TaskRun(views, None, now or datetime.now(UTC))
    communities.follow_words(run)
    communities.follow(run)
