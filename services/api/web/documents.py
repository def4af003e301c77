"""What the portal stores. MongoDB removes all of it when it is old."""

from datetime import datetime
from typing import TypedDict


class SessionDocument(TypedDict):
    """`sessions`. The cookie itself is stored nowhere."""

    _id: str
    """SHA-256 of the cookie, in hex."""
    key: str
    """The id of the key that opened it."""
    until: datetime


class FormReceiptDocument(TypedDict):
    """`form_receipts`: a form that was sent."""

    _id: str
    """A hash of who sent what."""
    at: datetime
    led_to: str | None
    """Where the answer led; null until it is saved."""


class FormDraftDocument(TypedDict):
    """`form_drafts`: what was typed before a session ended."""

    _id: str
    key: str
    """The id of the key whose session it was."""
    path: str
    """Where the form was sent."""
    fields: list[list[str]]
    """Pairs of name and value."""
    at: datetime
