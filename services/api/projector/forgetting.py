"""Keeps what the platforms' terms no longer let be kept out of the views. The upkeep drops what was written before.

The functions give a document as it may be kept at `now`: the same one if nothing of it is over. A document with
something to drop later has `forget_at`, which says when.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from pymongo.database import Database

from rapport.domain.retention import is_over, stand_in
from rapport.kit.mongo import Document
from services.api.alerts.documents import AlertDocument
from services.api.campaigns import judging as campaigns
from services.api.communities import judging as communities
from services.api.exchanges.documents import ExchangeDocument, forget_at
from services.api.followers.documents import NewFollower
from services.api.interactions.documents import PROFILE, InteractionDocument
from services.api.projector.batch import Batch

StandIn = Callable[[InteractionDocument], str]
"""What is kept of an interaction's text."""
Told = TypeVar("Told", ExchangeDocument, AlertDocument)


class Sought:
    """What brands look for in texts: the words of their communities, and the words and hashtags of their campaigns."""

    def __init__(self, database: Database[Any]) -> None:
        """A brand is read when it is first asked for."""
        self._database = database
        self._of_brand: dict[str, tuple[set[str], set[str]]] = {}

    def stand_in(self, document: InteractionDocument) -> str:
        """What is kept of an interaction's text."""
        brand = document["brand"]
        if brand not in self._of_brand:
            words, hashtags = campaigns.sought(self._database, brand)
            self._of_brand[brand] = words | communities.sought(self._database, brand), hashtags
        words, hashtags = self._of_brand[brand]
        return stand_in(document.get("text") or "", words, hashtags)


def interaction(document: InteractionDocument, now: datetime, kept_of: StandIn) -> InteractionDocument:
    """An interaction: its text goes, and what is said of its author's profile, each in its time."""
    if not is_over(document.get("forget_at"), now):
        return document
    found = cast("Document", document.copy())
    left = []
    for name, drop in (("text_until", _drop_text), ("profile_until", _drop_profile)):
        until = document.get(name)
        if is_over(cast("datetime | None", until), now):
            drop(found, document, kept_of)
        elif until is not None:
            left.append(until)
    return cast("InteractionDocument", _due(found, left))


def _drop_text(found: Document, document: InteractionDocument, kept_of: StandIn) -> None:
    if document.get("text"):
        found["heard"] = kept_of(document)
        del found["text"]


def _drop_profile(found: Document, document: InteractionDocument, _kept_of: StandIn) -> None:
    found["actor"] = {name: value for name, value in document["actor"].items() if name not in PROFILE}


def told(document: Told, now: datetime) -> Told:
    """An exchange or an alert: the text and the follower's names go, each in its time."""
    if not is_over(document.get("forget_at"), now):
        return document
    found = cast("Document", document.copy())
    for part, names in (("first", ("text",)), ("follower", ("handle", "name"))):
        if is_over(found[part].get("kept_until"), now):
            found[part] = {name: value for name, value in found[part].items() if name not in names}
    at = forget_at(found["first"], found["follower"])
    return cast("Told", _due(found, [] if at is None else [at]))


def follower(document: NewFollower, now: datetime) -> NewFollower:
    """A follower: each name goes in its time."""
    if not is_over(document.get("forget_at"), now):
        return document
    found = cast("Document", document.copy())
    names = document.get("names_until", {})
    over = {part for part, until in names.items() if is_over(until, now)}
    found |= dict.fromkeys(over)
    found["names_until"] = {part: until for part, until in names.items() if part not in over}
    return cast("NewFollower", _due(found, list(found["names_until"].values())))


def _due(document: Document, times: list[Any]) -> Document:
    """The document, to be looked at again at the first of these times."""
    document.pop("forget_at", None)
    return {**document, "forget_at": min(times)} if times else document


def leave_out(database: Database[Any], batch: Batch) -> None:
    """Takes what is over already out of a batch: the log may be read again long after it was written."""
    now = datetime.now(UTC)
    kept_of = Sought(database).stand_in
    batch.interactions = {key: interaction(each, now, kept_of) for key, each in batch.interactions.items()}
    batch.exchanges = {key: told(each, now) for key, each in batch.exchanges.items()}
    batch.alerts = {key: told(each, now) for key, each in batch.alerts.items()}
    batch.profiles = {key: each for key, each in batch.profiles.items() if not is_over(each.get("forget_at"), now)}
    batch.followers = {key: None if each is None else follower(each, now) for key, each in batch.followers.items()}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Document:
    """The update that makes one document the other."""
    update: Document = {}
    if told := {name: value for name, value in after.items() if name not in before or before[name] != value}:
        update["$set"] = told
    if gone := [name for name in before if name not in after]:
        update["$unset"] = dict.fromkeys(gone, "")
    return update
