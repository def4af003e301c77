"""What ingest is told by its environment."""

import socket

from pydantic import Field

from rapport.kit.config import DataSettings, OutgoingSettings, PublicSettings
from services.ingest.connectors.bluesky_handles import DIRECTORY


class IngestSettings(PublicSettings, DataSettings, OutgoingSettings):
    """Ingest keeps the cursors of its streams, and what it saw on them, in `data`/ingest."""

    port: int = 8001
    internal_port: int = 8011
    instance: str = Field(default_factory=socket.gethostname)
    """What this process is called in its heartbeats, different for each."""
    plc_directory: str = DIRECTORY
    """Where the handles of Bluesky's people are looked up."""
