"""Threads' webhooks."""

from datetime import datetime

from services.ingest.connectors.threads import PLATFORM, normalise
from services.ingest.connectors.threads.settings import ThreadsSettings
from services.ingest.hooks.delivery import Delivery, Lookup
from services.ingest.hooks.meta import MetaHook


class Threads(MetaHook):
    """A Hook."""

    platform = PLATFORM
    id_field = "user"

    def __init__(self, settings: ThreadsSettings) -> None:
        super().__init__(settings.threads_secrets, settings.threads_verify_token)

    def read(self, body: bytes, lookup: Lookup, observed_at: datetime) -> Delivery:
        """See Hook."""
        return normalise.read(body, lookup, observed_at)
