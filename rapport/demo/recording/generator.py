"""A fortnight of three brands, shifted so that it ends now. Pure: the same seed and `now` give the same recording."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rapport.demo.recording import talk
from rapport.demo.recording.cast import BRANDS, DemoAccount, DemoBrand
from rapport.demo.recording.crowd import Crowd, enter_and_vote, gather, publish_calendar, reach_out
from rapport.demo.recording.delivery import in_order_of_arrival
from rapport.demo.recording.feed import Body, Feed
from rapport.demo.recording.ledger import Expected, expected_of
from rapport.demo.recording.people import people
from rapport.demo.recording.stage import set_clocks
from rapport.demo.recording.timeline import Day

SEED = 2026
LENGTH = timedelta(days=14)
CONNECTED = timedelta(hours=26)
"""How long ago the accounts were connected. Older comments have a clock but alert nobody."""


@dataclass(frozen=True)
class Recording:
    """What to send through the generic door, account by account in this order, and the expected outcome."""

    now: datetime
    connected_at: datetime
    brands: tuple[DemoBrand, ...]
    deliveries: dict[str, list[Body]]
    """By account id; some interactions come twice, and some answers before their comments."""
    expected: dict[str, Expected]
    """By brand id."""

    @property
    def size(self) -> int:
        """How many interactions are sent, repetitions included."""
        return sum(len(one) for one in self.deliveries.values())


def record(now: datetime, seed: int = SEED) -> Recording:
    """The fortnight that ends at `now`. Raises ValueError for a time without a zone."""
    if now.tzinfo is None:
        raise ValueError("now needs a zone")
    now = now.astimezone(UTC)
    connected_at = now - CONNECTED
    deliveries: dict[str, list[Body]] = {}
    expected: dict[str, Expected] = {}
    for number, brand in enumerate(BRANDS):
        feeds = [_feed(brand, account, now, random.Random(f"{seed}/{account.id}")) for account in brand.accounts]  # noqa: S311 - a recording, no secret
        set_clocks(number, feeds, now)
        for feed in feeds:
            draw = random.Random(f"{seed}/{feed.account.id}/delivery")  # noqa: S311
            deliveries[feed.account.id] = in_order_of_arrival(feed.facts, draw, now)
        facts = {feed.account.platform: [fact.body for fact in feed.facts] for feed in feeds}
        expected[brand.id] = expected_of(facts, connected_at, {person.id for person in brand.team})
    return Recording(now, connected_at, BRANDS, deliveries, expected)


def _feed(brand: DemoBrand, account: DemoAccount, now: datetime, draw: random.Random) -> Feed:
    feed = Feed(brand, account, draw)
    day = Day(draw, brand.timezone)
    crowd = Crowd(draw, people(draw, account.platform, account.audience))
    posts = publish_calendar(feed, day, draw, now - LENGTH, now)
    gather(feed, day, draw, crowd, posts, now - LENGTH, now)
    if brand.giveaway_on == account.id:
        enter_and_vote(feed, day, draw, crowd, now)
    talk.talk(feed, day, draw, crowd, posts, now)
    reach_out(feed, day, draw, crowd, now)
    return feed
