"""Instagram's webhooks."""

from collections.abc import Mapping
from datetime import datetime

from rapport.kit.config import listed
from services.ingest.connectors.instagram import PLATFORM, normalise
from services.ingest.connectors.instagram.settings import InstagramSettings
from services.ingest.hooks import meta
from services.ingest.hooks.delivery import Delivery, Lookup
from services.ingest.hooks.hook import Answer


class Instagram:
    """A Hook."""

    platform = PLATFORM
    id_field = "user"
    largest_body = meta.LARGEST_BODY

    def __init__(self, settings: InstagramSettings) -> None:
        self._secrets = listed(settings.instagram_secrets.get_secret_value())
        self.set_up = bool(self._secrets)
        self._token = settings.instagram_verify_token.get_secret_value()

    def challenge(self, query: Mapping[str, str]) -> Answer:
        """See Hook."""
        return meta.challenge(query, self._token)

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:  # noqa: ARG002
        """See Hook."""
        meta.check(headers, body, self._secrets)

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """See Hook."""
        return normalise.read(body, lookup, observed_at)
