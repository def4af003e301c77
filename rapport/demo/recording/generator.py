"""A fortnight of three brands, shifted so that it ends now. Pure: the same seed and `now` give the same recording."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rapport.demo.recording import talk
from rapport.demo.recording.cast import BRANDS, DemoBrand
from rapport.demo.recording.crowd import Crowd, enter_and_vote, gather, publish_calendar, reach_out
from rapport.demo.recording.delivery import in_order_of_arrival
from rapport.demo.recording.feed import Body, Feed
from rapport.demo.recording.ledger import Expected, expected_of
from rapport.demo.recording.people import people
from rapport.demo.recording.stage import set_clocks
from rapport.demo.recording.timeline import Day

SEED = 2026
LENGTH = timedelta(days=14)
HOST = "coffee.example"
"""The Mastodon server of the recording."""
CONNECTED = timedelta(hours=26)
"""How long ago the accounts were connected. Older comments have a clock but alert nobody."""


@dataclass(frozen=True)
class Recording:
    """What happened, account by account in the order in which it is sent, and the expected outcome."""

    now: datetime
    connected_at: datetime
    brands: tuple[DemoBrand, ...]
    deliveries: dict[str, list[Body]]
    """By account id, in the form of the generic door; some interactions come twice, and some answers before their
    comments."""
    expected: dict[str, Expected]
    """By brand id."""

    @property
    def size(self) -> int:
        """How many interactions are sent, repetitions included."""
        return sum(len(one) for one in self.deliveries.values())


def record(now: datetime, seed: int = SEED, host: str = HOST) -> Recording:
    """The fortnight that ends at `now`. `host` is the Mastodon server. Raises ValueError for a time without a zone."""
    if now.tzinfo is None:
        raise ValueError("now needs a zone")
    now = now.astimezone(UTC)
    connected_at = now - CONNECTED
    deliveries: dict[str, list[Body]] = {}
    expected: dict[str, Expected] = {}
    for number, brand in enumerate(BRANDS):
        feeds = []
        for account in brand.accounts:
            draw = random.Random(f"{seed}/{account.id}")  # noqa: S311 - a recording, no secret
            feeds.append(_filled(Feed(brand, account, draw, connected_at, host), now, draw))
        set_clocks(number, feeds, now)
        for feed in feeds:
            draw = random.Random(f"{seed}/{feed.account.id}/delivery")  # noqa: S311
            deliveries[feed.account.id] = in_order_of_arrival(feed.facts, draw, now)
        facts = {feed.account.platform: [fact.body for fact in feed.facts] for feed in feeds}
        expected[brand.id] = expected_of(facts, connected_at, {person.id for person in brand.team})
    return Recording(now, connected_at, BRANDS, deliveries, expected)


def _filled(feed: Feed, now: datetime, draw: random.Random) -> Feed:
    brand, account = feed.brand, feed.account
    day = Day(draw, brand.timezone)
    members = people(draw, account.platform, account.audience)
    crowd = Crowd(draw, [feed.person(each.id, each.handle, each.name) for each in members])
    posts = publish_calendar(feed, day, draw, now - LENGTH, now)
    gather(feed, day, draw, crowd, posts, now - LENGTH, now)
    if brand.giveaway_on == account.id:
        enter_and_vote(feed, day, draw, crowd, now)
    talk.talk(feed, day, draw, crowd, posts, now)
    reach_out(feed, day, draw, crowd, now)
    return feed
