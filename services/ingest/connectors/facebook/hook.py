"""Facebook's webhooks for Pages."""

from datetime import datetime

from services.ingest.connectors.facebook import PLATFORM, normalise
from services.ingest.connectors.facebook.settings import FacebookSettings
from services.ingest.hooks.delivery import Delivery, Lookup
from services.ingest.hooks.meta import MetaHook


class Facebook(MetaHook):
    """A Hook."""

    platform = PLATFORM
    id_field = "page"

    def __init__(self, settings: FacebookSettings) -> None:
        super().__init__(settings.facebook_secrets, settings.facebook_verify_token)

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """See Hook."""
        return normalise.read(body, lookup, observed_at)
