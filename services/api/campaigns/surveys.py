"""Answers from a survey's public form.

Only ingest makes interactions, so these answers count for the survey and the follower's profile, and add nothing to the
relationship's score.
"""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from itsdangerous import BadSignature, TimestampSigner
from limits import RateLimitItemPerMinute
from pymongo.asynchronous.client_session import AsyncClientSession

from rapport.domain.campaigns.survey import LONGEST_ANSWER, Answer, latest
from rapport.kit import mongo
from rapport.kit.text import is_blank
from services.api.campaigns.documents import (
    CampaignDocument,
    SurveyLinkDocument,
    answers_document,
    answers_of,
    questions_of,
    stored_answers,
)
from services.api.campaigns.repository import Forms
from services.api.http.rates import Rates
from services.api.storage.tenants import Database

TICKET_HOURS = timedelta(hours=12)
"""How long somebody may take with a form."""
PER_ADDRESS, PER_FORM = 20, 600
"""Answers that are taken within a minute: a family behind one address, and a post that many see at once."""


def limit(rates: Rates, form: str, address: str) -> None:
    """Counts one more answer. Raises ProblemError (429) where there are too many within a minute."""
    why = "too many answers within a minute"
    rates.take(RateLimitItemPerMinute(PER_ADDRESS, namespace="answers"), form, address, why=why)
    rates.take(RateLimitItemPerMinute(PER_FORM, namespace="answers"), form, why=why)


def ticket(form: str, secret: bytes) -> str:
    """A signed token in a form: when it was opened, and a name by which it counts once."""
    return _signer(form, secret).sign(secrets.token_hex(12)).decode()


def ticket_name(given: str, form: str, secret: bytes) -> str | None:
    """The name in a ticket. None if it belongs to another form or is too old."""
    try:
        return _signer(form, secret).unsign(given, max_age=int(TICKET_HOURS.total_seconds())).decode()
    except BadSignature:
        return None


def _signer(form: str, secret: bytes) -> TimestampSigner:
    return TimestampSigner(secret, salt=f"form {form}", key_derivation="hmac", digest_method=hashlib.sha256)


def read(
    campaign: CampaignDocument, sent: Mapping[str, str], name: str, now: datetime
) -> tuple[dict[str, Answer], dict[str, str]]:
    """The answers in a form, by question, and a sentence for each invalid one."""
    answers: dict[str, Answer] = {}
    wrong: dict[str, str] = {}
    for question in questions_of(campaign):
        said = sent.get(question.id, "").replace("\r\n", "\n").strip()
        if is_blank(said):
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
    database: Database,
    campaign: CampaignDocument,
    link: SurveyLinkDocument | None,
    name: str,
    answers: dict[str, Answer],
    now: datetime,
) -> bool:
    """Stores the answers of a form, once. False if the survey is over or the link was used."""
    forms = Forms(database)
    who = None if link is None else (link["platform"], link["follower"])
    key = f"{campaign['_id']}/~{name}" if who is None else f"{campaign['_id']}/{who[0]}/{who[1]}"
    form = stored_answers(answers)

    async def write(session: AsyncClientSession) -> bool:
        before = await forms.answers(key, session)
        if before is not None and link is None:
            return True
        if link is not None and not await forms.use(link, now, session):
            return False
        merged = latest(answers_of(before["answers"] if before else {}), answers)
        after = answers_document(campaign, key, who, merged, before["objects"] if before else [], form)
        if await forms.store(before, after, now, session):
            return True
        await session.abort_transaction()
        return False

    return await mongo.in_async_transaction(database, write)
