"""What people do without words (follow, react, share, buy, enter, vote), and the posts that they do it to."""

import random
from datetime import datetime, timedelta
from itertools import accumulate

from rapport.demo.recording.feed import Feed, Post
from rapport.demo.recording.people import Person
from rapport.demo.recording.timeline import Day
from rapport.demo.recording.words import filled

FADING = timedelta(hours=9)
"""How long a post is looked at, on average."""
JUST_NOW = timedelta(minutes=2)
FOLLOWING = 0.32
"""The share of the audience that starts to follow in the fortnight."""
UNFOLLOWING = 0.06
VIRAL_REACTIONS = 4200
REACTIONS = {
    "facebook": ("like", "love", "haha", "wow"), "youtube": ("like",), "mastodon": ("favourite",), "bluesky": ("like",),
}  # fmt: skip
PERSONAL_TAG, BUSINESS_TAG = " #team", " #shop"
"""The brand's rules tell its posts apart by these."""
MEDIA = {"instagram": (["image"], ["image", "image"], ["video"]), "youtube": (["video"],)}


class Crowd:
    """An audience in which a few people do most, and most people do little."""

    def __init__(self, draw: random.Random, members: list[Person]) -> None:
        self.members = members
        self._draw = draw
        self._weights = list(accumulate((rank + 8) ** -0.7 for rank in range(len(members))))

    def someone(self) -> Person:
        """One of them; the keen ones more often."""
        return self._draw.choices(self.members, cum_weights=self._weights)[0]

    def some(self, count: int) -> list[Person]:
        """This many different ones, all equally likely."""
        return self._draw.sample(self.members, min(count, len(self.members)))


def publish_calendar(feed: Feed, day: Day, draw: random.Random, start: datetime, now: datetime) -> list[Post]:
    """The brand's posts: about one a day, one in six of them personal, and the one that took off."""
    voice = feed.brand.voice
    posts: list[Post] = []
    for number in range((now - start).days):
        if draw.random() < 0.12:
            continue  # a day without a post
        for _ in range(2 if draw.random() < 0.15 else 1):
            at = day.between(start + timedelta(days=number), start + timedelta(days=number + 1) - timedelta(minutes=20))
            personal = draw.random() < 1 / 6
            text = filled(draw, voice, draw.choice(voice.personal_posts if personal else voice.posts))
            if len(posts) % 3:  # a third has none, as in real life
                text += PERSONAL_TAG if personal else BUSINESS_TAG
            media = draw.choice(MEDIA.get(feed.account.platform, (["image"], ["link"], [])))
            posts.append(feed.publish(at, text, list(media), draw.lognormvariate(0, 0.5) * (1.5 if personal else 1)))
    # A fresh one, for those who write in the last hours.
    posts.append(feed.publish(now - timedelta(hours=27), filled(draw, voice, voice.posts[0]), ["image"], 1.5))
    return posts


def gather(
    feed: Feed, day: Day, draw: random.Random, crowd: Crowd, posts: list[Post], start: datetime, now: datetime
) -> None:
    """Follows and their undoing, reactions, shares and purchases."""
    for person in crowd.some(round(len(crowd.members) * FOLLOWING)):
        at = day.between(start, now - JUST_NOW)
        name = feed.new_id("follow")
        feed.add("follow", person, at, name, object={"id": name})
        if draw.random() < UNFOLLOWING:
            feed.add("follow", person, day.between(at, now), f"{name}#undone", object={"id": name}, undo=True)
    weights = [post.draws for post in posts]
    for _ in range(feed.account.reactions):
        post = draw.choices(posts, weights)[0]
        react(feed, draw, crowd.someone(), post, day.after(post.at, now - JUST_NOW, FADING))
    for _ in range(feed.account.reactions // 12):
        post, person = draw.choices(posts, weights)[0], crowd.someone()
        at = day.after(post.at, now - JUST_NOW, FADING)
        feed.add("share", person, at, feed.new_id("share"), post=post.id, parent={"id": post.id})
    for _ in range(feed.account.audience // 14):
        at = day.between(start, now - JUST_NOW)
        amount = f"{draw.lognormvariate(3.2, 0.5):.2f}"
        feed.add("purchase", crowd.someone(), at, feed.new_id("order"), amount=amount, currency=feed.brand.currency)


def react(feed: Feed, draw: random.Random, person: Person, post: Post, at: datetime) -> None:
    """A like, or whatever the platform has; one in fifty is taken back."""
    if not feed.reacts_first(person, post):
        return
    reaction = draw.choice(REACTIONS.get(feed.account.platform, ("like",)))
    name = feed.new_id("reaction")
    about = {"object": {"id": name}, "post": post.id, "parent": {"id": post.id}, "reaction": reaction}
    feed.add("reaction", person, at, name, **about)
    if draw.random() < 0.02:
        feed.add(
            "reaction", person, at + timedelta(seconds=draw.randrange(3, 90)), f"{name}#undone", undo=True, **about
        )


def reach_out(feed: Feed, day: Day, draw: random.Random, crowd: Crowd, now: datetime) -> None:
    """What the team likes, shares and follows of other people."""
    for person in crowd.some(6):
        kind, name = draw.choice(("reaction", "reaction", "share", "follow")), feed.new_id("outreach")
        parent = {"id": f"{person.id}/own", "actor": person.id}
        at = day.between(now - timedelta(days=3), now - JUST_NOW)
        feed.add(kind, draw.choice(feed.brand.team), at, name, object={"id": name}, parent=parent)


def enter_and_vote(feed: Feed, day: Day, draw: random.Random, crowd: Crowd, now: datetime) -> None:
    """A giveaway that ran for four days, and a vote about what to roast next."""
    opened, closed = now - timedelta(days=8), now - timedelta(days=4)
    text = "Giveaway! A year of coffee for one of you. Follow, tell us your brewer, and you are in until Friday."
    post = feed.publish(opened, text, ["image"], 1.0)
    for person in crowd.some(520):
        at = day.between(opened, closed)
        feed.add("entry", person, at, feed.new_id("entry"), post=post.id, campaign="a-year-of-coffee")
    asked = now - timedelta(days=3)
    post = feed.publish(asked, "You choose what we roast next: Guji, Huila or Kenya?", ["image"], 1.0)
    for person in crowd.some(340):
        at = day.after(asked, now - JUST_NOW, timedelta(hours=20))
        choice = draw.choices(("Guji", "Huila", "Kenya"), (5, 3, 4))[0]
        feed.add("vote", person, at, feed.new_id("vote"), post=post.id, campaign="what-next", text=choice)
