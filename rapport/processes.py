"""The processes of an installation: what `rapport up` starts, and what compose and Kubernetes are checked against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """One `rapport <name>`.

    It serves HTTP (`/healthz`, `/readyz`, `/metrics` and its own) on RAPPORT_HOST:RAPPORT_PORT.
    """

    name: str
    port: int
    needs: tuple[str, ...]
    """Which servers must be there: `kafka`, `mongodb`."""
    settings: tuple[str, ...] = ()
    """Environment variables beyond the common ones that a deployment sets."""


COMMON_SETTINGS = ("RAPPORT_HOST", "RAPPORT_PORT", "RAPPORT_KAFKA")

PROCESSES: tuple[Process, ...] = (
    Process("ingest", 8001, ("kafka",), ("RAPPORT_DATA",)),
    Process("scorer", 8002, ("kafka",), ("RAPPORT_DATA", "RAPPORT_INSTANCE")),
    Process("notifier", 8003, ("kafka", "mongodb"), ("RAPPORT_MONGODB", "RAPPORT_SMTP", "RAPPORT_PORTAL")),
    Process("projector", 8004, ("kafka", "mongodb"), ("RAPPORT_MONGODB",)),
    Process("api", 8000, ("kafka", "mongodb"), ("RAPPORT_MONGODB", "RAPPORT_ADMIN_KEY")),
)
