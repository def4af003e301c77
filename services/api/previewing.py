"""What a policy would have done to exchanges of the past: told by the functions that set the clocks."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pymongo.asynchronous.database import AsyncDatabase

from rapport.contracts.controls import PolicyVersion
from rapport.domain import policy
from rapport.domain.figures import counted
from rapport.domain.policy import DEFAULT_VERSION, Subject
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api import shapes
from services.api.pools import POLICIES
from services.api.proposals import Proposed
from services.api.repositories.exchanges import Exchanges
from services.api.repositories.followers import Followers
from services.api.repositories.interactions import Interactions
from services.api.repositories.scorings import Scorings
from services.api.repositories.tenants import Tenants
from services.api.schemas.policy import Differing, Outcome, Preview, RuleFigures, Tally

MOST_EXCHANGES = 20_000
AT_ONCE = 1_000
SECONDS_ALLOWED = 10.0
"""Twenty thousand exchanges take a second or two; hundreds of rules with dozens of words each take longer."""
MOST_SHOWN = 50

LATEST = "Only the latest {n} of this time were looked at; all of them would have taken too long."
STAGES = "Rules about stages were tried with each follower's stage as it is now, not as it was then."
CLOCKLESS = "What had no clock under the policy of its time opened no exchange, so it is not counted here."
AUTOMATIC = "Which automatic answers would have counted was not looked at."
KEPT = (
    "When a comment was deleted or hidden, a follower blocked or an account disconnected is not kept with the "
    "exchange; such an exchange keeps its outcome."
)
FORGOTTEN = "First comments that are not kept any more, and were taken for plain ones of people: {n}."


class _Judged(NamedTuple):
    exchange: Document
    rule: int | None
    """The index of the rule that would have applied; None for the default."""
    due: int | None
    before: Outcome
    after: Outcome


class _Trial(NamedTuple):
    """What is tried, as of when, and until when (on the monotonic clock) it may take."""

    version: PolicyVersion
    now: int
    deadline: float

    @property
    def asks_for_stages(self) -> bool:
        return any(rule.when.stage for rule in self.version.rules)


async def preview(
    database: AsyncDatabase[Document],
    tenants: Tenants,
    brand: str,
    proposed: Proposed,
    start: datetime,
    end: datetime,
    now: datetime,
) -> Preview:
    """The exchanges opened in `[start, end)`, without backfilled ones and spam, judged as of `now`."""
    version = PolicyVersion(
        brand=brand, version=DEFAULT_VERSION + 1, effective_from=start, rules=proposed.rules,
        calendars=proposed.calendars,
    )  # fmt: skip
    trial = _Trial(version, ms(now), time.monotonic() + SECONDS_ALLOWED)
    found: list[_Judged] = []
    forgotten = 0
    cut = False
    async for documents in Exchanges(database, tenants).opened(start, end, MOST_EXCHANGES + 1, AT_ONCE):
        chunk = documents[: MOST_EXCHANGES - len(found)]
        comments = await Interactions(database, tenants).first_comments(chunk)
        stages = await _stages(database, tenants, chunk, now) if trial.asks_for_stages else {}
        judged = await POLICIES.run(brand, _judge, trial, chunk, comments, stages)
        found += judged
        forgotten += sum(1 for each in judged if _place(each.exchange) not in comments)
        if len(judged) < len(documents):
            cut = True
            break
    notes = [CLOCKLESS]
    if cut:
        notes.append(LATEST.format(n=counted(len(found), "exchange")))
    if trial.asks_for_stages:
        notes.append(STAGES)
    if any(rule.automatic_answers for rule in proposed.rules):
        notes.append(AUTOMATIC)
    if any(each.exchange["state"] == "cancelled" and not each.exchange.get("decision") for each in found):
        notes.append(KEPT)
    if forgotten:
        notes.append(FORGOTTEN.format(n=forgotten))
    differing = [each for each in found if each.before != each.after]
    return Preview(
        start=start,
        end=end,
        current=_tally([each.before for each in found]),
        proposed=_tally([each.after for each in found]),
        rules=[
            RuleFigures(rule=index, **_tally([each.after for each in found if each.rule == index]).model_dump())
            for index in (*range(len(proposed.rules)), None)
        ],
        differing=len(differing),
        examples=[_shown(each) for each in differing[:MOST_SHOWN]],
        cut=cut,
        notes=notes,
    )


async def _stages(
    database: AsyncDatabase[Document], tenants: Tenants, exchanges: Sequence[Document], now: datetime
) -> dict[str, str]:
    """The stage of each follower at `now`, by the follower's `_id`."""
    keys = {shapes.follower_key(each) for each in exchanges}
    known = await Followers(database, tenants).named(keys)
    numbers = await Scorings(database).of(known.values())
    return {key: shapes.stage_of(known.get(key), numbers, now) for key in keys}


def _judge(
    trial: _Trial,
    exchanges: Sequence[Document],
    comments: Mapping[tuple[str, str], Document],
    stages: Mapping[str, str],
) -> list[_Judged]:
    """Judges as many as there is time for."""
    found: list[_Judged] = []
    for each in exchanges:
        if time.monotonic() > trial.deadline:
            break
        comment = comments.get(_place(each), {})
        opened = ms(each["opened_at"])
        terms = policy.terms(
            [trial.version],
            Subject(
                at=opened,
                platform=each["platform"],
                kind=comment.get("kind", "comment"),
                account=each["account"],
                text=each["first"].get("text"),
                bot=comment.get("actor", {}).get("bot", False),
                empty=policy.is_empty(comment.get("text"), comment.get("media", ())),
                stage=stages.get(shapes.follower_key(each)),
            ),
        )
        due = terms.due(opened) if terms.timed else None
        waits = each.get("stage_wanted", False)
        found.append(
            _Judged(
                exchange=each,
                rule=None if terms.version == DEFAULT_VERSION else terms.index,
                due=due,
                before="stage_wanted" if waits else _outcome(each, ms(each["due_at"]), trial.now),
                after="no_clock" if due is None else _outcome(each, due, trial.now),
            )
        )
    return found


def _outcome(exchange: Document, due: int, now: int) -> Outcome:
    """What became of an exchange, had it been due then."""
    if exchange.get("answered_at") is not None:
        return "met" if ms(exchange["answered_at"]) <= due else "missed"
    if exchange["state"] == "cancelled":
        decision = exchange.get("decision")
        late = ms(decision["at"]) > due if decision else exchange["breached_at"] is not None
        return "missed" if late else "cancelled"
    return "missed" if due <= now else "open"


def _place(exchange: Document) -> tuple[str, str]:
    return exchange["platform"], exchange["first"]["id"]


def _tally(outcomes: Sequence[Outcome]) -> Tally:
    met, missed = outcomes.count("met"), outcomes.count("missed")
    return Tally(
        exchanges=len(outcomes),
        met=met,
        missed=missed,
        open=outcomes.count("open"),
        cancelled=outcomes.count("cancelled"),
        without_clock=outcomes.count("no_clock"),
        stage_wanted=outcomes.count("stage_wanted"),
        compliance=met / (met + missed) if met + missed else None,
    )


def _shown(judged: _Judged) -> Differing:
    return Differing(
        id=judged.exchange["_id"],
        opened_at=judged.exchange["opened_at"],
        old_due_at=judged.exchange["due_at"],
        new_due_at=None if judged.due is None else utc(judged.due),
        old_outcome=judged.before,
        new_outcome=judged.after,
    )
