"""The plans of the demonstration's brands: what to publish and how often, and the communities that they watch."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rapport.demo.client import Api
from rapport.demo.recording.cast import DemoBrand
from rapport.demo.recording.crowd import BUSINESS_TAG
from rapport.demo.recording.feed import Body
from rapport.demo.recording.generator import LENGTH, Recording
from rapport.demo.recording.words import filled

UNPLANNED = 6
"""One in this many posts was not planned."""
QUARTER = timedelta(minutes=15)
OFF = (timedelta(), timedelta(), timedelta(minutes=-50), timedelta(), timedelta())
"""How much earlier than planned posts are published, one after the other. Most are on time."""
MISSING_IN = timedelta(minutes=2)
"""From the end of the recording: so soon the forgotten post is missing."""
USUAL_GRACE = timedelta(minutes=30)
"""How long after its time a planned post counts as missing, unless the brand says otherwise."""
FORGOTTEN = "Behind the counter: what we learned this week, told by the one who learned it"
COMMUNITIES = (
    ("friends", "Friends", "stage is at least likes and last seen within 30 days"),
    ("unheard", "Wrote twice, heard nothing", "comments >= 2 and replies = 0"),
    ("regulars", "Regulars", "comments >= 3 and bot is no"),
)
POSTS_PER_WEEK = 21
OF_FIRST_ACCOUNT = 7
COMING_DAYS = 5


def plans(api: Api, brand: DemoBrand, recording: Recording) -> None:
    """Creates the brand's rhythm, communities and calendar."""
    home = f"/brands/{brand.id}"
    rhythm = {"posts_per_week": POSTS_PER_WEEK, "accounts": {brand.accounts[0].id: OF_FIRST_ACCOUNT}}
    api.ask("PUT", f"{home}/consistency/rhythm", rhythm)
    for community, name, rule in COMMUNITIES:
        api.ask("POST", f"{home}/communities", {"id": community, "name": name, "rule": rule})
    for planned in _fortnight(brand, recording):
        api.ask("POST", f"{home}/calendar/posts", planned)
    api.ask("PUT", f"{home}/calendar/settings", {"approval_required": True})
    for number, planned in enumerate(_coming(brand, recording.now)):
        plan = api.ask("POST", f"{home}/calendar/posts", planned)["id"]
        if number % 2 == 0:
            api.ask("POST", f"{home}/calendar/posts/{plan}/approve")


def unfound(api: Api, brand: DemoBrand, recording: Recording) -> Iterator[str]:
    """Planned posts that were published without the calendar noticing, in words."""
    first = recording.now - LENGTH
    query = {"from": first.date(), "to": recording.now.date()}
    planned = api.every(f"/brands/{brand.id}/calendar", "planned", **query)
    known = {_place(each) for each in planned if each["published"] is not None}
    for each in _fortnight(brand, recording):
        if each["text"] != FORGOTTEN and _place(each) not in known:
            yield f"{brand.id}: the post planned for {each['planned_at']} was published, but not matched"


def _place(planned: Body) -> str:
    return f"{planned['account']} {datetime.fromisoformat(planned['planned_at']).isoformat()}"


def _fortnight(brand: DemoBrand, recording: Recording) -> Iterator[Body]:
    for account in brand.accounts:
        posts = _published(recording.deliveries[account.id])
        for number, (at, text) in enumerate(posts):
            if number % UNPLANNED == UNPLANNED - 1:
                continue
            yield _planned(account.id, _on_the_quarter(at) + OFF[number % len(OFF)], text, "Morning shift")
    first = brand.accounts[0].id
    yield _planned(first, recording.now - USUAL_GRACE + MISSING_IN, FORGOTTEN, "Morning shift")


def _published(delivered: Sequence[Body]) -> list[tuple[datetime, str]]:
    posts = {body["object"]["id"]: body for body in delivered if body["kind"] == "post"}
    return sorted((datetime.fromisoformat(body["occurred_at"]), body["text"]) for body in posts.values())


def _on_the_quarter(at: datetime) -> datetime:
    """The nearest quarter of an hour."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + QUARTER * round((at - day) / QUARTER)


def _coming(brand: DemoBrand, now: datetime) -> Iterator[Body]:
    draw = random.Random(brand.id)  # noqa: S311 - texts, no secret
    for number in range(COMING_DAYS):
        account = brand.accounts[number % len(brand.accounts)]
        text = filled(draw, brand.voice, draw.choice(brand.voice.posts)) + BUSINESS_TAG
        at = _on_the_quarter(now + timedelta(days=number, hours=5))
        yield _planned(account.id, at, text, "Evening shift") | {"media": ["image"], "label": "business"}


def _planned(account: str, at: datetime, text: str, owner: str) -> Body:
    return {"account": account, "planned_at": at.isoformat(), "text": text, "owner": owner}
