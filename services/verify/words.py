"""Differences and summary in plain sentences."""

from collections.abc import Iterator
from typing import Any

import msgspec

from services.verify.compare import Difference

_LONGEST_SHOWN = 300
RECORDS = ("alert record", "dead letter", "put aside")
_PLURALS = {
    "hour": "hours of counts",
    "alert record": "records of alerts",
    "dead letter": "dead letters",
    "put aside": "records put aside by the projector",
    "person told": "people told of their stage",
    "beginning": "beginnings",
    "day of new ones": "days of new followers",
    "entry": "entries of giveaways",
    "answers": "answers to surveys",
    "tally": "tallies of campaigns",
    "effect of answering": "effects of answering",
    "stage": "stages",
    "stage after": "stages after an answer",
    "week of stages": "weeks of stages",
    "plan of a post": "plans of posts",
    "member": "members of communities",
    "members": "counts of members",
    "reply": "replies",
    "edit": "edits",
}


def counted(many: int, what: str) -> str:
    """A number of things of a kind."""
    return f"{many:,} {what if many == 1 else plural(what)}"


def plural(what: str) -> str:
    """Several of a kind."""
    return _PLURALS.get(what, f"{what}s")


def difference(found: Difference) -> str:
    """One difference, in a line."""
    name = f"{found.what} {found.id}"
    if found.what in RECORDS:
        is_, should_be = _times(found.mongodb), _times(found.log)
        return f"{name}: the topic has it {is_}; according to the log it should have it {should_be}"
    if found.field is not None:
        is_, should_be = _shown(found.mongodb), _shown(found.log)
        return f"{name}: {found.field} is {is_} in MongoDB; according to the log it should be {should_be}"
    if found.mongodb is None:
        return f"{name}: MongoDB lacks it; according to the log it should be {_shown(found.log)}"
    return f"{name}: MongoDB has it, but nothing in the log explains it: {_shown(found.mongodb)}"


def summary(said: Any) -> Iterator[str]:
    """What was done, in lines; `said` is a `Summary` of something that could be verified."""
    if said.first is None or said.last is None:
        yield "The log is empty, so there is nothing to compare."
        return
    yield f"Read {counted(said.records, 'record')} of the log, from {said.first:%FT%TZ} to {said.last:%FT%TZ}."
    yield f"Compared: {', '.join(counted(many, what) for what, many in said.compared.items() if many) or 'nothing'}."
    for brand, counts in sorted(said.counts.items()):
        yield f"{brand}: {', '.join(counted(many, kind) for kind, many in sorted(counts.items()))}."
    many = said.differences
    if not many:
        yield "Everything shown agrees with the log."
    else:
        yield "One difference." if many == 1 else f"{many:,} differences."


def _times(many: Any) -> str:
    return {0: "not at all", 1: "once"}.get(many, f"{many} times")


def _shown(value: Any) -> str:
    said = "nothing" if value is None else msgspec.json.encode(value, enc_hook=str).decode()
    return said if len(said) <= _LONGEST_SHOWN else f"{said[:_LONGEST_SHOWN]}…"
