"""Settings of the Bluesky connector."""

from rapport.kit.config import OutgoingSettings
from services.ingest.connectors.bluesky.names.handles import DIRECTORY


class BlueskySettings(OutgoingSettings):
    """How people's handles are found."""

    plc_directory: str = DIRECTORY
    """Where the handles of Bluesky's people are looked up."""
