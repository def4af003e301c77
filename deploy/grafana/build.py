"""The dashboards as JSON. `python -m deploy.build` writes them to `dashboards/`."""

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import BOARDS

SCHEMA_VERSION = 41
"""The newest that every Grafana from 12.0 on reads. The SDK would say 42."""


def built() -> dict[str, str]:
    """JSON by file name."""
    found = {}
    for make in BOARDS:
        board = make().build()
        board.schema_version = SCHEMA_VERSION
        found[f"{board.uid}.json"] = JSONEncoder(sort_keys=True, indent=1).encode(board) + "\n"
    return found
