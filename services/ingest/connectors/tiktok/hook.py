"""How TikTok signs: `TikTok-Signature: t=<seconds>,s=<hex HMAC-SHA256>` over `t`, a dot and the body as it was sent.

Source: https://business-api.tiktok.com/portal/docs?id=1759978341579777 and
https://developers.tiktok.com/doc/webhooks-verification
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from rapport.kit.config import listed
from services.ingest.connectors.tiktok import PLATFORM, normalise
from services.ingest.connectors.tiktok.normalise import IDENTIFIER
from services.ingest.connectors.tiktok.settings import TiktokSettings
from services.ingest.hooks.delivery import Delivery, Lookup
from services.ingest.hooks.hook import Answer, UnsignedError, fits, hexdigest

OLDEST = 300
"""Seconds that `t` may lie before our clock, or after it. So what somebody recorded cannot be sent again later."""
_SIGNATURE = "tiktok-signature"
_SECONDS = re.compile("[0-9]{1,12}")


class Tiktok:
    """A Hook."""

    platform = PLATFORM
    id_field = "business"
    also_named: Sequence[str] = (IDENTIFIER,)
    largest_body = 2**18
    """Bytes. A delivery has one event; the longest text in one, a message, has 6,000 characters."""

    def __init__(self, settings: TiktokSettings) -> None:
        self._secrets = listed(settings.tiktok_secrets.get_secret_value())
        self.set_up = bool(self._secrets)

    def challenge(self, query: Mapping[str, str]) -> Answer:  # noqa: ARG002
        """See Hook. The address is set by a call of the API, so nobody asks for it."""
        raise UnsignedError("TikTok has no challenge")

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """See Hook."""
        given = headers.get(_SIGNATURE, "")
        if not given:
            raise UnsignedError("TikTok-Signature is missing")
        parts = {name: value for name, _, value in (part.strip().partition("=") for part in given.split(","))}
        sent = parts.get("t", "")
        if not _SECONDS.fullmatch(sent):
            raise UnsignedError("TikTok-Signature has no time t in seconds")
        signed = sent.encode() + b"."
        if not fits(parts.get("s", ""), [hexdigest(secret, signed, body) for secret in self._secrets]):
            raise UnsignedError("TikTok-Signature is not the body's, with none of the app's secrets")
        age = now.timestamp() - int(sent)
        if abs(age) > OLDEST:
            raise UnsignedError(f"TikTok-Signature is {age:.0f} seconds old; at most {OLDEST} either way are taken")

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """See Hook."""
        return normalise.read(body, lookup, observed_at)
