"""LinkedIn's webhooks: how LinkedIn makes sure of an address, and how it signs.

Source: https://learn.microsoft.com/en-us/linkedin/shared/api-guide/webhook-validation
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from rapport.kit.config import listed
from services.ingest.connectors.linkedin import PLATFORM, normalise
from services.ingest.connectors.linkedin.settings import LinkedInSettings
from services.ingest.hooks.delivery import Delivery, Lookup
from services.ingest.hooks.hook import Answer, UnsignedError, fits, hexdigest

LARGEST_BODY = 2**20
"""Bytes. A delivery has 10 notifications, each with the texts of a post and a comment."""
_SIGNATURE = "x-li-signature"
_PREFIX = "hmacsha256="
_CODE = re.compile(r"[0-9A-Za-z-]{1,128}")
"""A UUID. Nothing is answered that begins like what LinkedIn signs, or anybody could have a delivery signed here."""


class LinkedIn:
    """A Hook."""

    platform = PLATFORM
    id_field = "organization"
    also_named: Sequence[str] = ()
    largest_body = LARGEST_BODY

    def __init__(self, settings: LinkedInSettings) -> None:
        self._secrets = listed(settings.linkedin_secrets.get_secret_value())
        self.set_up = bool(self._secrets)

    def challenge(self, query: Mapping[str, str]) -> Answer:
        """See Hook."""
        code = query.get("challengeCode", "")
        if not _CODE.fullmatch(code):
            raise UnsignedError("challengeCode is missing, or is none of LinkedIn's")
        body = {"challengeCode": code, "challengeResponse": hexdigest(self._secrets[0], code.encode())}
        return Answer(msgspec.json.encode(body), "application/json")

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:  # noqa: ARG002
        """See Hook. The header has the digest alone, or behind the prefix that is signed with the body."""
        given = headers.get(_SIGNATURE, "")
        if not given:
            raise UnsignedError("X-LI-Signature is missing")
        digests = [hexdigest(secret, _PREFIX.encode(), body) for secret in self._secrets]
        if not fits(given, [*digests, *(_PREFIX + digest for digest in digests)]):
            raise UnsignedError("X-LI-Signature is not the body's, with none of the app's secrets")

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """See Hook."""
        return normalise.read(body, lookup, observed_at)
