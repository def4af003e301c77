"""The demonstration's campaigns: a giveaway to draw after a few minutes, and a vote that goes on."""

from datetime import datetime, timedelta

from rapport.demo.client import Api
from rapport.demo.recording.cast import DemoBrand

DRAWN_IN = timedelta(minutes=10)
"""From the start of the recording, so that somebody who looks around can draw."""


def campaigns(api: Api, brand: DemoBrand, now: datetime) -> None:
    """Creates the campaigns that the recording's entries and votes belong to."""
    if brand.giveaway_on is None:
        return
    common = {"accounts": [brand.giveaway_on], "starts_at": (now - timedelta(days=9)).isoformat()}
    giveaway = {
        "id": "a-year-of-coffee",
        "kind": "giveaway",
        "name": "A year of coffee",
        "ends_at": (now + DRAWN_IN).isoformat(),
        "giveaway": {"requirements": [{"kind": "entry"}, {"kind": "follow"}], "winners": 1, "alternates": 3},
    }
    options = [{"id": name.lower(), "label": name} for name in ("Guji", "Huila", "Kenya")]
    survey = {
        "id": "what-next",
        "kind": "survey",
        "name": "What we roast next",
        "ends_at": (now + timedelta(days=4)).isoformat(),
        "survey": {"questions": [{"id": "roast", "text": "What do we roast next?", "options": options}], "form": True},
    }
    for content in (giveaway, survey):
        api.ask("POST", f"/brands/{brand.id}/campaigns", common | content)
