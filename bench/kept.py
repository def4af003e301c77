"""The figures that are committed, each with its date and machine: `python -m deploy.sizing` computes with them."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).parent / "figures.json"


def keep(found: Mapping[str, Mapping[str, Any]]) -> None:
    """Notes what was measured just now in place of what was measured before."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), shared"
    when = datetime.now(UTC).date().isoformat()
    new = {name: {"measured_on": when, "machine": machine, **figures} for name, figures in found.items()}
    FIGURES.write_text(json.dumps({**figures_kept(), **new}, indent=2) + "\n")


def figures_kept() -> dict[str, dict[str, Any]]:
    """What is committed, by the name of the measurement."""
    kept: dict[str, dict[str, Any]] = json.loads(FIGURES.read_text())
    return kept
