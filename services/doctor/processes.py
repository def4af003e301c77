"""The processes themselves: whether they are ready, and of which version."""

import re
from collections.abc import Mapping

import httpx

from services.doctor.finding import Findings

_VERSION = re.compile(r'^rapport_build_info\{.*?version="([^"]+)"', re.M)
TIMEOUT_SECONDS = 5.0


def look(internal: Mapping[str, str], found: Findings) -> None:
    """Asks each process where it has its probes. `internal`: addresses by name."""
    versions: dict[str, list[str]] = {}
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        for name, url in internal.items():
            with found.about(name, httpx.HTTPError):
                ready = client.get(f"{url}/readyz")
                found.check(name, ready.status_code == 200, ready.text.strip()[:300])
                told = _VERSION.search(client.get(f"{url}/metrics").text)
                versions.setdefault(told[1] if told else "unknown", []).append(name)
    if len(versions) > 1:
        each = "; ".join(f"{version}: {', '.join(names)}" for version, names in sorted(versions.items()))
        found.doubtful("versions", f"{each}. Finish the upgrade")
    elif versions:
        found.fine("versions", next(iter(versions)))
