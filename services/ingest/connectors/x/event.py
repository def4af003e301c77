"""An event of the X Activity API: what all of them have in common."""

from datetime import datetime

from msgspec import Raw, Struct

from services.ingest.connectors.x.posts import Included
from services.ingest.hooks.delivery import Id, Watched

NULL = Raw(b"null")


class Filter(Struct):
    """Whose event it is."""

    user_id: Id | None = None


class Data(Struct):
    """What a delivery has."""

    event_type: str
    event_uuid: Id | None = None
    filter: Filter | None = None
    payload: Raw = NULL
    includes: Raw = NULL


class Event:
    """An event on its way to being interactions with one account."""

    def __init__(self, data: Data, included: Included, watched: Watched, observed_at: datetime) -> None:
        self.type = data.event_type
        self.uuid = data.event_uuid
        self.payload = data.payload
        self.included = included
        self.watched = watched
        self.observed_at = observed_at

    def conversation(self, person: str) -> str:
        """The pair of the brand and a follower.

        Not of the account: one of its accounts may answer what was said to another, and a post may name two of them.
        """
        return f"{self.watched.brand}:{person}"

    def is_of_brand(self, person: str) -> bool:
        """Whether somebody is the brand, by any of its accounts, or works for it."""
        return self.watched.is_brand(person) or self.watched.is_staff(person)
