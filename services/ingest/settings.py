"""What ingest is told by its environment."""

from rapport.kit.config import DataSettings


class IngestSettings(DataSettings):
    """Ingest keeps the cursors of its streams, and what it saw on them, in `data`/ingest."""

    port: int = 8001
