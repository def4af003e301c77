"""Instagram's webhooks."""

from datetime import datetime

from services.ingest.connectors.instagram import PLATFORM, normalise
from services.ingest.connectors.instagram.settings import InstagramSettings
from services.ingest.hooks.delivery import Delivery, Lookup
from services.ingest.hooks.meta import MetaHook


class Instagram(MetaHook):
    """A Hook."""

    platform = PLATFORM
    id_field = "user"

    def __init__(self, settings: InstagramSettings) -> None:
        super().__init__(settings.instagram_secrets, settings.instagram_verify_token)

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """See Hook."""
        return normalise.read(body, lookup, observed_at)
