"""How the recorded interactions arrive: out of order, some twice, some answers before their comments."""

import random
from collections.abc import Iterable
from datetime import datetime, timedelta

from rapport.demo.recording.feed import Body, Fact

SHUFFLED_WITHIN = timedelta(minutes=90)
TWICE = 0.02
TWICE_WITHIN = 400
ANSWER_FIRST = timedelta(hours=28)
"""If a comment is younger than this, its answer is sent first: its clock may be about to run out, and nobody should be
warned only because the replay sends the answer a moment later."""


def in_order_of_arrival(facts: Iterable[Fact], draw: random.Random, now: datetime) -> list[Body]:
    """The interactions of one account as they are sent."""
    arrival: dict[str, datetime] = {}
    facts = sorted(facts, key=lambda fact: (fact.at, fact.body["id"]))
    for fact in facts:
        arrival[fact.body["id"]] = fact.at + SHUFFLED_WITHIN * draw.uniform(-1, 1)
    first_word: dict[tuple[str, str], datetime] = {}
    for fact in facts:
        if fact.body["kind"] in ("comment", "mention", "message") and now - fact.at < ANSWER_FIRST:
            lane = (fact.body["thread"], fact.body["actor"]["id"])
            at = arrival[fact.body["id"]]
            first_word[lane] = min(at, first_word.get(lane, at))
    for fact in facts:
        if fact.body["kind"] == "reply":
            lane = (fact.body["thread"], fact.body["parent"]["actor"])
            if lane in first_word:
                arrival[fact.body["id"]] = min(arrival[fact.body["id"]], first_word[lane] - timedelta(seconds=1))
    bodies = [fact.body for fact in sorted(facts, key=lambda fact: (arrival[fact.body["id"]], fact.body["id"]))]
    for index in range(len(bodies) - 1, -1, -1):
        if draw.random() < TWICE:
            bodies.insert(min(len(bodies), index + draw.randrange(1, TWICE_WITHIN)), bodies[index])
    return bodies
