"""Settings of ingest."""

import socket

from pydantic import Field

from rapport.kit.config import DataSettings, PublicSettings, SealingSettings, TracedSettings
from services.ingest.connectors.platforms import PlatformSettings


class IngestSettings(PublicSettings, DataSettings, PlatformSettings, SealingSettings, TracedSettings):
    """The cursors of the streams, and what was seen on them, are kept in `data`/ingest."""

    port: int = 8001
    internal_port: int = 8011
    instance: str = Field(default_factory=socket.gethostname)
    """The name of this process in its heartbeats; each has its own."""
