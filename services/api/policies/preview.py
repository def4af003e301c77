"""What a policy would have done to past exchanges. It uses the same functions that set the clocks."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pymongo.asynchronous.database import AsyncDatabase

from rapport.contracts.controls import PolicyVersion
from rapport.domain.figures import counted
from rapport.domain.policies import policy
from rapport.domain.policies.policy import DEFAULT_VERSION, Subject
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api.exchanges.documents import ExchangeDocument
from services.api.exchanges.repository import Exchanges
from services.api.exchanges.service import follower_key
from services.api.followers.repository import Followers
from services.api.followers.service import stage_of
from services.api.http.pools import POLICIES
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.repository import Interactions
from services.api.policies.proposals import Proposed
from services.api.policies.schemas import Differing, Outcome, Preview, RuleFigures, Tally
from services.api.scoring.repository import Scorings
from services.api.storage.tenants import Tenants

MOST_EXCHANGES = 20_000
AT_ONCE = 1_000
SECONDS_ALLOWED = 10.0
"""20,000 exchanges take a second or two; hundreds of rules with dozens of words each take longer."""
MOST_SHOWN = 50

LATEST = "Only the latest {n} of this period were judged; all of them would have taken too long."
STAGES = "Rules about stages used each follower's current stage, not the stage at that time."
CLOCKLESS = "Comments without a clock under the policy of that time opened no exchange, so they are not counted."
AUTOMATIC = "Whether automatic answers would have counted was not checked."
KEPT = (
    "An exchange does not record when its comment was deleted or hidden, its follower blocked or its account "
    "disconnected, so such an exchange keeps its outcome."
)
FORGOTTEN = "First comments that are no longer stored and were treated as ordinary comments of people: {n}."


class _Judged(NamedTuple):
    exchange: ExchangeDocument
    rule: int | None
    """The index of the rule that would have applied; None for the default."""
    due: int | None
    before: Outcome
    after: Outcome


class _Trial(NamedTuple):
    """What is judged, as of when, and the deadline by `time.monotonic`."""

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
    """Judges the exchanges opened in `[start, end)` as of `now`, without backfilled ones and spam."""
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
    database: AsyncDatabase[Document], tenants: Tenants, exchanges: Sequence[ExchangeDocument], now: datetime
) -> dict[str, str]:
    """The stage of each follower at `now`, by the follower's `_id`."""
    keys = {follower_key(each) for each in exchanges}
    known = await Followers(database, tenants).standings(keys)
    numbers = await Scorings(database).of(known.values())
    return {key: stage_of(known.get(key), numbers, now) for key in keys}


def _judge(
    trial: _Trial,
    exchanges: Sequence[ExchangeDocument],
    comments: Mapping[tuple[str, str], InteractionDocument],
    stages: Mapping[str, str],
) -> list[_Judged]:
    """Judges as many as the deadline allows."""
    found: list[_Judged] = []
    for each in exchanges:
        if time.monotonic() > trial.deadline:
            break
        comment = comments.get(_place(each))
        text, media = (comment.get("text"), comment.get("media", [])) if comment else (None, [])
        opened = ms(each["opened_at"])
        terms = policy.terms(
            [trial.version],
            Subject(
                at=opened,
                platform=each["platform"],
                kind=comment["kind"] if comment else "comment",
                account=each["account"],
                text=each["first"].get("text"),
                bot=comment["actor"].get("bot", False) if comment and "actor" in comment else False,
                empty=policy.is_empty(text, media),
                stage=stages.get(follower_key(each)),
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


def _outcome(exchange: ExchangeDocument, due: int, now: int) -> Outcome:
    """The outcome of an exchange if it had been due then."""
    answered_at = exchange.get("answered_at")
    if answered_at is not None:
        return "met" if ms(answered_at) <= due else "missed"
    if exchange["state"] == "cancelled":
        decision = exchange.get("decision")
        late = ms(decision["at"]) > due if decision else exchange["breached_at"] is not None
        return "missed" if late else "cancelled"
    return "missed" if due <= now else "open"


def _place(exchange: ExchangeDocument) -> tuple[str, str]:
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
