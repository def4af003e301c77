"""The scorer's two agents: what each reads, where its rows are, and who handles its records."""

from pathlib import Path

from rapport.contracts.topics import (
    CONVERSATIONS,
    CONVERSATIONS_DEAD,
    DAY_MS,
    ENGAGEMENTS,
    ENGAGEMENTS_DEAD,
    EXCHANGES,
    EXCHANGES_CHANGELOG,
    EXCHANGES_DEAD,
    RELATIONSHIPS_CHANGELOG,
    SCORER_APPLICATION,
    SCORER_GROUP,
    TOMBSTONES_DAYS,
)
from services.scorer.exchanges.handler import ExchangesHandler
from services.scorer.fenced.agent import Agent, Handler
from services.scorer.fenced.turns import Turns
from services.scorer.headers import ROW_HEADERS
from services.scorer.relationships.handler import RelationshipsHandler
from services.scorer.rows import ROWS_FORMAT

STALE_AFTER = (TOMBSTONES_DAYS - 2) * DAY_MS


def agents(
    bootstrap: str, data: Path, *, grace_seconds: float, session_seconds: float, put_aside: frozenset[str] = frozenset()
) -> list[Agent]:
    """Both. `data`: the folder of the worker's rows; the seconds, and `put_aside`, as in `ScorerSettings`."""

    def exchanges(_: int) -> Handler:
        return ExchangesHandler(round(grace_seconds * 1000))

    def relationships(_: int) -> Handler:
        return RelationshipsHandler()

    turns = Turns()
    return [
        Agent(
            name="exchanges", application=SCORER_APPLICATION, group=SCORER_GROUP, bootstrap=bootstrap, data=data,
            sources=(CONVERSATIONS.name,), changelog=EXCHANGES_CHANGELOG.name, changelog_headers=ROW_HEADERS,
            dead_letters={CONVERSATIONS.name: CONVERSATIONS_DEAD.name}, handler=exchanges, stale_after=STALE_AFTER,
            turns=turns, rows_format=ROWS_FORMAT, put_aside=put_aside, session_seconds=session_seconds,
        ),
        Agent(
            name="relationships", application=SCORER_APPLICATION, group=SCORER_GROUP, bootstrap=bootstrap, data=data,
            sources=(ENGAGEMENTS.name, EXCHANGES.name), changelog=RELATIONSHIPS_CHANGELOG.name,
            changelog_headers=ROW_HEADERS,
            dead_letters={ENGAGEMENTS.name: ENGAGEMENTS_DEAD.name, EXCHANGES.name: EXCHANGES_DEAD.name},
            handler=relationships, stale_after=STALE_AFTER, turns=turns, rows_format=ROWS_FORMAT,
            put_aside=put_aside, session_seconds=session_seconds,
        ),
    ]  # fmt: skip
