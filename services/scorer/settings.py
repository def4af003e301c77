"""Settings of the scorer."""

import socket

from pydantic import Field

from rapport.kit.config import DataSettings, ReaderSettings, TracedSettings


class ScorerSettings(DataSettings, ReaderSettings, TracedSettings):
    """From `RAPPORT_…`; see `docs/settings.md` for each."""

    port: int = 8002
    instance: str = Field(default_factory=socket.gethostname)
    """The static name of this worker in the group, different for each worker; in Kubernetes the pod's name."""
    tick_seconds: float = Field(default=5.0, gt=0, le=20)
    """How often a worker moves the clocks of its partitions; a clock is at most this late on a quiet partition.

    A page is called live while the latest tick says that all but the last minute is scored.
    """
    breach_grace_seconds: float = Field(default=120.0, ge=0)
    """How long after a comment was appended its breach waits for an answer that was polled together with it."""
    session_seconds: float = Field(default=10.0, gt=0)
    """How long the group waits for a worker that says nothing before it gives its partitions to others."""
