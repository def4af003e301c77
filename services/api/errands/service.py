"""Answers, hidings and likes: they go into the log, and ingest carries them out on the platform."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from rapport.contracts.errands import GIVEN_UP_AFTER, LOOKED_BACK, Deed, Errand
from rapport.domain import errands as domain
from rapport.domain.platforms import platform_name
from rapport.kit import clock
from rapport.kit.broker.producer import NotAcknowledgedError
from rapport.kit.text import written
from services.api.accounts import service as accounts_service
from services.api.accounts.repository import Accounts
from services.api.errands import schemas
from services.api.errands.documents import ErrandDocument, ErrandStateDocument
from services.api.errands.repository import Errands
from services.api.exchanges.documents import ExchangeDocument
from services.api.exchanges.repository import Exchanges
from services.api.http.context import Context
from services.api.http.problems import ProblemError, invalid, not_found, unavailable
from services.api.interactions.documents import InteractionDocument
from services.api.interactions.repository import Interactions
from services.api.storage.tenants import Database, Tenants

MOST_COMMENTS = 200
_SAID = frozenset({"comment", "mention", "message"})


@dataclass(frozen=True)
class Possible:
    """What can be done with an exchange from here: the deeds, the comments it can be done with, and why nothing can."""

    deeds: frozenset[Deed]
    comments: Sequence[InteractionDocument]
    """The newest first."""
    why_not: str | None
    handle: str = ""
    """Of the account that it would be done by."""

    @property
    def private(self) -> bool:
        """Whether it is about private messages."""
        return any(each["kind"] == "message" for each in self.comments)

    @property
    def longest_answer(self) -> int:
        """In characters; 0 where nothing can be answered."""
        return domain.longest_answer(self.comments[0]["platform"], private=self.private) if self.comments else 0


async def possible(database: Database, tenants: Tenants, exchange: ExchangeDocument) -> Possible:
    """What can be done with an exchange."""
    said = await _said(database, tenants, exchange)
    platform = exchange["platform"]
    if platform not in domain.ABLE:
        return Possible(frozenset(), [], "On this platform nothing can be answered from here.")
    comments = [each for each in said if each["kind"] in domain.answerable(platform)]
    if not comments:
        # Of those that are left, none can be answered from here.
        what = {"message": "Private messages", "mention": "Mentions"}.get(said[0]["kind"]) if said else None
        why = f"{what} on {platform_name(platform)} are answered there" if what else "Nothing is left to answer"
        return Possible(frozenset(), [], f"{why}.")
    account = await Accounts(database, tenants).find(exchange["brand"], exchange["account"])
    if account is None or account.get("disconnected_at") is not None:
        return Possible(frozenset(), [], "The account is not connected any more.")
    if not accounts_service.may_write(account):
        return Possible(frozenset(), [], "The account is connected without a token, so nothing can be written there.")
    found = Possible(frozenset(), comments, None, account["handle"])
    own = accounts_service.itself(account)
    return replace(found, deeds=domain.able(platform, exchange["thread"], own, private=found.private))


async def ask(
    context: Context, tenants: Tenants, exchange: str, deed: Deed, by: str, key: str,
    *, comment: str | None = None, text: str | None = None,
) -> schemas.Errand:  # fmt: skip
    """Asks for something to be done, and returns once the log has it. `key`: the same one again is the same errand.

    Raises ProblemError: 404 if there is no such exchange or comment, 409 if it cannot be done, 422 for a text that the
    platform would not take or a key that was used for something else, 503 if the broker does not confirm.
    """
    found = await Exchanges(context.database, tenants).find(exchange)
    if found is None:
        raise not_found("exchange")
    may = await possible(context.database, tenants, found)
    if may.why_not is not None:
        raise ProblemError(409, "conflict", may.why_not)
    if deed not in may.deeds:
        raise ProblemError(409, "conflict", domain.unable(found["platform"], deed, private=may.private))
    name = _id(found["brand"], exchange, deed, key)
    before = await Errands(context.database, tenants).find(name)
    if comment is None and before is not None:
        comment = before["thing"]  # the newest one then; there may be a newer one by now
    about = next((each for each in may.comments if comment in (None, each["object"]["id"])), None)
    if about is None:
        raise not_found("comment")
    said = None if text is None else written(text).strip()
    if said is not None and (wrong := domain.answer_problem(found["platform"], said, private=may.private)) is not None:
        raise invalid("text", wrong)
    thing = about["object"]["id"]
    if before is not None and (before["thing"], before.get("text")) != (thing, said):
        raise invalid("Idempotency-Key", "it was already used for something else in this exchange")
    errand = Errand(
        id=name,
        brand=found["brand"],
        platform=found["platform"],
        account=found["account"],
        deed=deed,
        exchange=exchange,
        follower=found["follower"]["id"],
        thing=thing,
        thing_kind=_thing_kind(about),
        by=by,
        at=clock.now(),
        conversation=found["conversation"],
        thread=about.get("thread"),
        post=about.get("post"),
        text=said,
    )
    try:
        await context.publisher.ask(errand)
    except NotAcknowledgedError as error:
        raise unavailable("Kafka does not accept it right now; send it again when Kafka is back") from error
    return schemas.Errand(
        id=errand.id, exchange=exchange, deed=deed, comment=thing, text=said, by=by, at=errand.at, state="asked",
        since=errand.at, why=None, url=None,
    )  # fmt: skip


async def of_exchange(database: Database, tenants: Tenants, exchange: str) -> list[schemas.Errand]:
    """What was asked for in an exchange and how it stands, the latest first."""
    errands = Errands(database, tenants)
    found = await errands.of_exchange(exchange)
    states = await errands.states(found)
    now = clock.now()
    return [_shown(each, states.get(each["_id"]), now) for each in found]


def typed_key(before: Sequence[schemas.Errand], who: str, deed: Deed, comment: str | None, text: str | None) -> str:
    """A key for what somebody sends with a form: the same again is the same errand, unless it was refused."""
    said = None if text is None else written(text).strip()
    refused = sum(each.state == "refused" and (each.deed, each.text) == (deed, said) for each in before)
    # To hide and to show again can be done in turns.
    done = sum(each.deed in domain.HIDINGS for each in before) if deed in domain.HIDINGS else 0
    return "\x1f".join((who, comment or "", said or "", str(refused), str(done)))


async def _said(database: Database, tenants: Tenants, exchange: ExchangeDocument) -> list[InteractionDocument]:
    found = await Interactions(database, tenants).of_follower(
        exchange["platform"], exchange["follower"]["id"], MOST_COMMENTS, exchange["conversation"]
    )
    its = [each for each in found if each.get("thread", exchange["thread"]) == exchange["thread"]]
    gone = {each["object"]["id"] for each in its if each["kind"] == "delete"}
    return [each for each in its if each["kind"] in _SAID and each["object"]["id"] not in gone]


def _thing_kind(about: InteractionDocument) -> Literal["comment", "mention", "message"]:
    match about["kind"]:
        case "mention" | "message" as kind:
            return kind
    return "comment"


def _id(brand: str, exchange: str, deed: Deed, key: str) -> str:
    return hashlib.sha256("\x1f".join((brand, exchange, deed, key)).encode()).hexdigest()[:32]


def _shown(errand: ErrandDocument, state: ErrandStateDocument | None, now: datetime) -> schemas.Errand:
    shown = _as_said(errand, state)
    if shown.ended or now - errand["at"] <= LOOKED_BACK:
        return shown
    # Ingest was away for so long that it does not look at it any more.
    why = domain.UNSURE if shown.state == "sending" else "it could not be sent within 24 hours"
    return shown.model_copy(update={"state": "refused", "since": errand["at"] + GIVEN_UP_AFTER, "why": why})


def _as_said(errand: ErrandDocument, state: ErrandStateDocument | None) -> schemas.Errand:
    return schemas.Errand(
        id=errand["_id"],
        exchange=errand["exchange"],
        deed=errand["deed"],
        comment=errand["thing"],
        text=errand.get("text"),
        by=errand["by"],
        at=errand["at"],
        state="asked" if state is None else state["state"],
        since=errand["at"] if state is None else state["at"],
        why=None if state is None else state["why"],
        url=None if state is None else state["url"],
    )
