"""The processes of an installation. `rapport up` starts them; compose and Kubernetes are checked against them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """One `rapport <name>`.

    It serves `/healthz`, `/readyz` and `/metrics` on RAPPORT_PORT. One that strangers may reach does so on
    RAPPORT_INTERNAL_PORT, and serves on RAPPORT_PORT what it is for.
    """

    name: str
    port: int
    needs: tuple[str, ...]
    """The servers that it needs: `kafka`, `mongodb`."""
    settings: tuple[str, ...] = ()
    """Environment variables that a deployment sets, beyond the common ones."""
    internal_port: int | None = None
    """The port of its probes and metrics, if not `port`."""

    @property
    def probed(self) -> int:
        """The port of its probes and metrics."""
        return self.internal_port or self.port


_TRACED = ("RAPPORT_TRACES", "RAPPORT_TRACES_SHARE")
_PUBLIC = ("RAPPORT_INTERNAL_PORT", "RAPPORT_TRUSTED_PROXIES")

COMMON_SETTINGS = ("RAPPORT_HOST", "RAPPORT_PORT", "RAPPORT_KAFKA", "RAPPORT_PARTITIONS")

PROCESSES: tuple[Process, ...] = (
    Process(
        "ingest",
        8001,
        ("kafka",),
        ("RAPPORT_DATA", "RAPPORT_INSTANCE", "RAPPORT_SEALING_KEYS", *_TRACED, *_PUBLIC),
        8011,
    ),
    Process("scorer", 8002, ("kafka",), ("RAPPORT_DATA", "RAPPORT_INSTANCE", *_TRACED)),
    Process(
        "notifier",
        8003,
        ("kafka", "mongodb"),
        ("RAPPORT_MONGODB", "RAPPORT_SMTP", "RAPPORT_PORTAL", "RAPPORT_SEALING_KEYS", *_TRACED),
    ),
    Process("projector", 8004, ("kafka", "mongodb"), ("RAPPORT_MONGODB", *_TRACED)),
    Process(
        "api",
        8000,
        ("kafka", "mongodb"),
        ("RAPPORT_MONGODB", "RAPPORT_ADMIN_KEY", "RAPPORT_PORTAL", "RAPPORT_SEALING_KEYS", *_PUBLIC),
        8010,
    ),
)

SERVERS = ("kafka", "mongodb")
PARTS = (
    *SERVERS,
    *(process.name for process in PROCESSES),
    *(f"{process.name}-internal" for process in PROCESSES if process.internal_port),
)
"""The parts of an installation that have a port."""
