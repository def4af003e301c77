"""A brand's planned posts for tests: one of each status, with what was published."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from rapport.kit.mongo import Document
from services.api.calendar import upkeep as calendar
from services.api.projector.upkeep.loop import TaskRun
from tests.services.api import facts
from tests.services.api.conftest import Served

ACCOUNT = "planned-account"


class _Deaf:
    """Whom nobody hears: what is missing is told to no log."""

    def send(self, *_: Any, **__: Any) -> "_Deaf":
        """As a producer."""
        return self

    def get(self, _: float) -> None:
        """As a future."""


def fill(api: Served, views: Database[Document], brand: str) -> None:
    """Plans a week around now, of which some was published."""
    now = datetime.now(UTC).replace(microsecond=0)
    account = {"id": ACCOUNT, "platform": "bluesky", "handle": "acme", "connected_at": "2026-01-01T00:00:00Z"}
    answer = api.client.post(f"/v1/brands/{brand}/accounts", json=account)
    assert answer.status_code == 201, answer.text
    for name, hours, text, state in (
        ("roast", -26, "A new roast from Guji is in the shop", "planned"),
        ("team", -4, "Our team at work this very morning", "planned"),
        ("gone", -2, "Nobody will ever see these words", "planned"),
        ("next", 20, "What shall we roast next week?", "planned"),
        ("idea", 44, "Something with filters", "draft"),
    ):
        at = (now + timedelta(hours=hours)).isoformat()
        new = {"id": name, "account": ACCOUNT, "planned_at": at, "text": text, "state": state, "label": "business"}
        answer = api.client.post(f"/v1/brands/{brand}/calendar/posts", json={**new, "owner": "Grace"})
        assert answer.status_code == 201, answer.text
    views["planned_posts"].update_many({"brand": brand}, {"$set": {"created_at": now - timedelta(days=9)}})
    facts.write(
        views,
        facts.post("roast", brand, now - timedelta(hours=26), "A new roast from Guji is in the shop", account=ACCOUNT),
        facts.post("team", brand, now - timedelta(hours=3), "Our team at work this very morning", account=ACCOUNT),
        facts.post("free", brand, now - timedelta(hours=5), "Good morning everybody", account=ACCOUNT),
    )
    facts.turns(views)
    # Nobody hears its account, so what is missing is told an hour after that was seen.
    for hours in (1, 0):
        calendar.follow(TaskRun(views, _Deaf(), now - timedelta(hours=hours)))
