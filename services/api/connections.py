"""What an account's connection may say, checked when it is saved: ingest could only complain in its log."""

from collections.abc import Mapping

from services.api import unknown_fields
from services.api.problems import invalid

READ = {"bluesky": ("did", "jetstream", "service")}
"""What the connector of each platform reads. Platforms without one are not checked."""
STREAMS = ("jetstream", "service")


def check(platform: str, connection: Mapping[str, str]) -> None:
    """Raises ProblemError (422) for a connection that nothing could be read by."""
    known = READ.get(platform)
    if known is None:
        return
    for name in connection:
        if name not in known:
            raise invalid("connection", unknown_fields.why(name, known, what="name"))
    streams = [name for name in STREAMS if name in connection]
    if len(streams) > 1:
        raise invalid("connection", f"only one of {' and '.join(streams)} can be read")
    if streams and not connection.get("did", "").startswith("did:"):
        raise invalid("connection", f"{streams[0]} also needs did, the account's DID, such as did:plc:…")
