"""Answers that come in on a survey's public form.

They are the read side's own facts: only ingest makes interactions, so they count for the survey and the follower's
profile and add nothing to the relationship's score.
"""

import hashlib
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from pymongo.asynchronous.client_session import AsyncClientSession

from rapport.domain.survey import LONGEST_ANSWER, Answer, latest
from rapport.domain.times import ms, utc
from rapport.kit.mongo import Document
from services.api.campaigning import Database
from services.api.problems import ProblemError
from services.api.repositories.campaigns import Forms, answers_document, answers_of, questions_of

TICKET_HOURS = timedelta(hours=12)
"""How long somebody may take with a form."""
PER_ADDRESS, PER_FORM = 20, 600
"""Answers that are taken within a minute: a family behind one address, and a post that many see at once."""
WINDOW_SECONDS = 60.0


class FormLimit:
    """How many answers a process takes within a minute, from one address and on one form."""

    def __init__(self) -> None:
        self._window = 0.0
        self._seen: Counter[tuple[str, str]] = Counter()

    def check(self, form: str, address: str) -> None:
        """Counts one more. Raises ProblemError (429) where it is too many."""
        now = time.monotonic()
        if now - self._window > WINDOW_SECONDS:
            self._window = now
            self._seen.clear()
        for key, most in (((form, address), PER_ADDRESS), ((form, ""), PER_FORM)):
            self._seen[key] += 1
            if self._seen[key] > most:
                raise ProblemError(
                    429, "too-many-requests", "too many answers within a minute", headers={"Retry-After": "60"}
                )


def ticket(form: str, now: datetime, secret: bytes) -> str:
    """What a form carries: that it is ours, when it was opened, and a name by which it counts once."""
    said = f"{secrets.token_hex(12)}.{ms(now)}"
    return f"{said}.{_signature(form, said, secret)}"


def ticket_name(given: str, form: str, now: datetime, secret: bytes) -> str | None:
    """The name in a ticket; None where it is not of this form, or too old."""
    said, _, signature = given.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(form, said, secret).encode()):
        return None
    name, _, opened = said.partition(".")
    return name if now - utc(int(opened)) <= TICKET_HOURS else None


def _signature(form: str, said: str, secret: bytes) -> str:
    return hmac.digest(secret, f"form {form} {said}".encode(), hashlib.sha256).hex()


def read(
    campaign: Document, sent: Mapping[str, str], name: str, now: datetime
) -> tuple[dict[str, Answer], dict[str, str]]:
    """The answers that a form sent, by question, and a sentence for each that is wrong."""
    answers: dict[str, Answer] = {}
    wrong: dict[str, str] = {}
    for question in questions_of(campaign):
        said = sent.get(question.id, "").replace("\r\n", "\n").strip()
        if not said:
            continue
        if question.options:
            if said in {each.id for each in question.options}:
                answers[question.id] = Answer(at=now, id=name, by="form", option=said)
            else:
                wrong[question.id] = "Choose one of these answers."
        elif len(said) > LONGEST_ANSWER:
            wrong[question.id] = f"This has {len(said):,} characters; {LONGEST_ANSWER:,} is the most."
        else:
            answers[question.id] = Answer(at=now, id=name, by="form", text=said)
    if not answers and not wrong:
        wrong[""] = "Answer at least one question."
    return answers, wrong


async def store(
    database: Database, campaign: Document, link: Document | None, name: str, answers: dict[str, Answer], now: datetime
) -> bool:
    """Stores the answers of a form; the same form again changes nothing. False where the survey or the link is over."""
    forms = Forms(database)
    its: dict[str, Any] = {"brand": campaign["brand"], "campaign": campaign["campaign"]}
    if link is None:
        key, its = f"{campaign['_id']}/~{name}", its | {"platform": None, "follower": None}
    else:
        key = f"{campaign['_id']}/{link['platform']}/{link['follower']}"
        its |= {"platform": link["platform"], "follower": link["follower"]}
    form = {question: msgspec.to_builtins(each, builtin_types=(datetime,)) for question, each in answers.items()}

    async def write(session: AsyncClientSession) -> bool:
        before = await forms.answers(key, session)
        if before is not None and link is None:
            return True
        if link is not None and not await forms.use(link, now, session):
            return False
        known = before or {"answers": {}, "objects": []}
        merged = latest(answers_of(known["answers"]), answers)
        after = {"_id": key, **answers_document(its, merged, known["objects"], form)}
        if await forms.store(before, after, now, session):
            return True
        await session.abort_transaction()
        return False

    async with database.client.start_session() as session:
        return await session.with_transaction(write)
