"""When the authorities that this process trusts end, as a metric: after that, no server's certificate is accepted."""

import ssl
from pathlib import Path

from prometheus_client import Gauge

EXPIRES = Gauge(
    "rapport_certificate_expires_timestamp_seconds",
    "When the first of the authorities' certificates in a file ends, as Unix time; 0 if the file cannot be read.",
    ["certificate"],
)


def watch(name: str, file: Path) -> None:
    """Shows a file's end under this name. It is read at each scrape, so that a renewed one counts at once."""
    EXPIRES.labels(name).set_function(lambda: ends(file))


def ends(file: Path) -> float:
    """When the first certificate in a file in PEM ends, as Unix time; 0 if there is none to be read."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=file)
        found = [ssl.cert_time_to_seconds(str(each["notAfter"])) for each in context.get_ca_certs()]
    except (OSError, ValueError):
        return 0.0
    return float(min(found, default=0))
