"""X's webhooks: how X makes sure of an address, and how it signs.

X signs with the application's OAuth 2.0 client secret, with its OAuth 1.0 consumer secret, or with both, each in a
header of its own.

Source: https://docs.x.com/x-api/webhooks/introduction
"""

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from rapport.kit.config import listed
from services.ingest.connectors.x import PLATFORM, normalise
from services.ingest.connectors.x.settings import XSettings
from services.ingest.hooks.delivery import Delivery, Lookup
from services.ingest.hooks.hook import Answer, UnsignedError, fits, hexdigest

LARGEST_BODY = 2**20
"""Bytes. A delivery has one event; with the posts and profiles that it includes it takes some 10,000."""
_SIGNATURES = "x-twitter-webhooks-signature-oauth2", "x-twitter-webhooks-signature"
_TOKEN = re.compile(r"[^\s{}\"]{1,512}")
"""X signs deliveries as it wants tokens signed. So nothing is answered that could be a delivery: JSON in braces."""


class X:
    """A Hook."""

    platform = PLATFORM
    id_field = "user"
    also_named: Sequence[str] = ()
    largest_body = LARGEST_BODY

    def __init__(self, settings: XSettings) -> None:
        self._secrets = listed(settings.x_secrets.get_secret_value())
        self.set_up = bool(self._secrets)

    def challenge(self, query: Mapping[str, str]) -> Answer:
        """See Hook."""
        token = query.get("crc_token", "")
        if not _TOKEN.fullmatch(token):
            raise UnsignedError("crc_token is missing, or is none of X's")
        body = {"response_token": _signature(self._secrets[0], token.encode("utf-8", "surrogatepass"))}
        return Answer(msgspec.json.encode(body), "application/json")

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:  # noqa: ARG002
        """See Hook."""
        given = [headers[name] for name in _SIGNATURES if headers.get(name)]
        if not given:
            raise UnsignedError(f"{' and '.join(_SIGNATURES)} are missing")
        expected = [_signature(secret, body) for secret in self._secrets]
        if not any(fits(each, expected) for each in given):
            raise UnsignedError(f"neither {' nor '.join(_SIGNATURES)} is the body's, with none of the app's secrets")

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """See Hook."""
        return normalise.read(body, lookup, observed_at)


def _signature(secret: str, signed: bytes) -> str:
    return f"sha256={base64.b64encode(bytes.fromhex(hexdigest(secret, signed))).decode()}"
