"""What people write, and whether and when the brand answers."""

import random
from datetime import datetime, timedelta

from rapport.demo.recording import voices, words
from rapport.demo.recording.crowd import VIRAL_REACTIONS, Crowd, react
from rapport.demo.recording.feed import Feed, Post, Said
from rapport.demo.recording.timeline import Day

FADING = timedelta(hours=10)
JUST_NOW = timedelta(minutes=2)
TARGET = timedelta(hours=24)
ALL_ANSWERED = (timedelta(hours=26, minutes=30), timedelta(hours=23, minutes=30))
"""Comments of an age between these are answered in time, so that only the clocks that `stage` sets run out in the first
minutes."""
LATE_FROM = timedelta(hours=34)
"""Only older comments are answered late: their outcome is settled before the accounts were connected."""
LONG_AGO = timedelta(days=13)
VIRAL_COMMENTS = 430
SPAM = (
    "Earn 3,000 a week from home, link in my profile!!",
    "Best followers cheap, message me",
    "CRYPTO doubled my salary, ask me how",
)


def talk(feed: Feed, day: Day, draw: random.Random, crowd: Crowd, posts: list[Post], now: datetime) -> None:
    """Comments, mentions and messages, with follow-ups, edits, deletions, spam, and the answers."""
    weights = [post.draws for post in posts]
    conversation = Conversation(feed, day, draw, now)
    for _ in range(feed.account.comments):
        post = draw.choices(posts, weights)[0]
        at = day.after(post.at, now - JUST_NOW, FADING)
        tone = draw.choices(("question", "praise", "complaint", "short"), (42, 28, 10, 20))[0]
        conversation.take(feed.comment(crowd.someone(), post, at, words.said(draw, feed.brand.voice, tone), tone), post)
    for _ in range(feed.account.comments // 9):
        at = day.between(now - LONG_AGO, now - JUST_NOW)
        text = words.filled(draw, feed.brand.voice, draw.choice(feed.brand.voice.mentions))
        conversation.take(feed.mention(crowd.someone(), at, text), None)
    for _ in range(feed.account.comments // 9):
        at = day.between(now - LONG_AGO, now - JUST_NOW)
        text = words.filled(draw, feed.brand.voice, draw.choice(feed.brand.voice.messages))
        conversation.take(feed.message(crowd.someone(), at, text), None)
    for _ in range(3):
        post = draw.choice(posts)
        said = feed.comment(
            crowd.someone(), post, day.after(post.at, now - JUST_NOW, FADING), draw.choice(SPAM), "spam"
        )
        feed.hide(said, min(said.at + timedelta(minutes=draw.randrange(2, 90)), now - timedelta(seconds=5)))
    if feed.brand.viral_on == feed.account.id:
        _go_viral(feed, day, draw, crowd, conversation, now)


def _go_viral(
    feed: Feed, day: Day, draw: random.Random, crowd: Crowd, conversation: "Conversation", now: datetime
) -> None:
    voice = feed.brand.voice
    post = feed.publish(now - timedelta(days=5, hours=7), voice.viral, ["video"], 0.0)
    spread = timedelta(hours=22)
    for _ in range(VIRAL_REACTIONS):
        react(feed, draw, crowd.someone(), post, day.after(post.at, now - JUST_NOW, spread))
    for _ in range(VIRAL_COMMENTS):
        at = day.after(post.at, now - JUST_NOW, spread)
        text = words.filled(draw, voice, draw.choice(voice.viral_comments))
        tone = "question" if "?" in text else "praise"
        conversation.take(feed.comment(crowd.someone(), post, at, text, tone), post)


class Conversation:
    """Decides what happens to what people write on one account."""

    def __init__(self, feed: Feed, day: Day, draw: random.Random, now: datetime) -> None:
        self._feed = feed
        self._day = day
        self._draw = draw
        self._now = now

    def take(self, said: Said, post: Post | None) -> None:
        """Follows up, edits, deletes, answers, or none of it."""
        draw, feed = self._draw, self._feed
        last = said
        if post is not None and said.tone == "question" and draw.random() < 0.08:
            later = said.at + timedelta(minutes=draw.randrange(4, 50))
            if later < self._now - JUST_NOW:
                last = feed.comment(said.person, post, later, draw.choice(voices.FOLLOW_UPS), "question")
                if draw.random() < 0.15:
                    feed.remove(said, later + timedelta(seconds=draw.randrange(5, 60)))
        if said.tone in ("question", "complaint") and draw.random() < 0.03:
            corrected = said.at + timedelta(seconds=draw.randrange(20, 220))
            if corrected < self._now:
                feed.edit(said, corrected, words.said(draw, feed.brand.voice, said.tone))
        at = self._answered_at(said, last)
        if at is not None:
            reply = feed.reply(last, at, self._answer(said.tone))
            if draw.random() < 0.01 and reply.at + timedelta(hours=1) < self._now:
                feed.remove(last, reply.at + timedelta(minutes=draw.randrange(5, 55)))
        elif last is said and draw.random() < 0.1:
            gone = said.at + timedelta(minutes=draw.randrange(3, 600))
            if gone < self._now - JUST_NOW:
                feed.remove(said, gone)

    def _answered_at(self, first: Said, said: Said) -> datetime | None:
        """When `said` is answered, if at all. `first` is the comment that it follows up, or itself."""
        draw, now = self._draw, self._now
        age = now - first.at
        if ALL_ANSWERED[1] <= age <= ALL_ANSWERED[0]:
            return said.at + timedelta(minutes=round(draw.uniform(8, 280), 2))
        if draw.random() > self._feed.brand.answered:
            return None
        if age > LATE_FROM and draw.random() < self._feed.brand.late:
            at = said.at + timedelta(hours=round(draw.uniform(24.4, 60), 3))
        else:
            wait = timedelta(minutes=round(min(draw.lognormvariate(4.6, 0.9), 20 * 60), 2))
            at = self._day.office_hours(said.at + wait)
            if at - said.at > TARGET - timedelta(minutes=30):
                at = said.at + wait
        return at if at < now - JUST_NOW else None

    def _answer(self, tone: str) -> str:
        voice = self._feed.brand.voice
        texts = {"question": voice.answers, "complaint": voice.care}.get(tone, voice.thanks)
        return words.filled(self._draw, voice, self._draw.choice(texts))
