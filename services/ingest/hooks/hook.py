"""What a platform that pushes has to say for itself, and how its signatures are checked."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from services.ingest.hooks.delivery import Delivery, Lookup


class UnsignedError(ValueError):
    """A delivery that the platform did not sign, or a challenge that is not its own. The text says what is missing."""


class Answer(NamedTuple):
    """What a platform wants to hear."""

    body: bytes
    media_type: str


class Hook(Protocol):
    """One platform's deliveries. Everything in it is pure but for the secrets that it was made with."""

    platform: str
    """Also the last part of the address, `/v1/platforms/<platform>`."""
    id_field: str
    """Where an account's connection has the platform's id of the account."""
    also_named: Sequence[str]
    """Where else it has ids by which the platform names the account, to whom it belongs too."""
    largest_body: int
    """Bytes."""
    set_up: bool
    """Whether there is a secret to check deliveries with. Without one, none is taken."""

    def challenge(self, query: Mapping[str, str]) -> Answer:
        """The answer to a GET by which the platform makes sure that the address is ours. Raises UnsignedError."""

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raises UnsignedError unless the platform signed exactly these bytes. Before any of them is read."""

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """What a delivery says. Raises UnreadableError where the whole is not what the platform sends."""


def hexdigest(secret: str, *parts: bytes) -> str:
    """The hex HMAC-SHA256 of some bytes."""
    made = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in parts:
        made.update(part)
    return made.hexdigest()


def fits(given: str, expected: Sequence[str]) -> bool:
    """Whether a signature is one of these. Takes as long for each, so that the time taken says nothing."""
    found = False
    for each in expected:
        found |= hmac.compare_digest(each.encode(), given.encode("utf-8", "surrogatepass"))
    return found
