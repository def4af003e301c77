"""Checks an account's connection when it is saved. Later ingest could only complain in its log."""

from collections.abc import Mapping

from services.api.http import unknown_fields
from services.api.http.problems import invalid

READ = {
    "bluesky": ("did", "jetstream", "service"),
    "facebook": ("page",),
    "instagram": ("user",),
    "linkedin": ("organization",),
    "threads": ("user",),
    "tiktok": ("business", "identifier"),
    "x": ("user",),
}
"""What each platform's connector reads. Platforms without a connector are not checked."""
NEEDED = {name: fields[0] for name, fields in READ.items() if name != "bluesky"}
"""The platform's id of the account, without which its webhooks are nobody's."""
STREAMS = ("jetstream", "service")


def check(platform: str, connection: Mapping[str, str]) -> None:
    """Raises ProblemError (422) for a connection that could not be used."""
    known = READ.get(platform)
    if known is None:
        return
    for name in connection:
        if name not in known:
            raise invalid("connection", unknown_fields.why(name, known, what="name"))
    needed = NEEDED.get(platform)
    if needed is not None and connection and not connection.get(needed, "").strip():
        raise invalid("connection", f"{needed} is missing: the platform's id of the account")
    streams = [name for name in STREAMS if name in connection]
    if len(streams) > 1:
        raise invalid("connection", f"use only one of {' and '.join(streams)}")
    if streams and not connection.get("did", "").startswith("did:"):
        raise invalid("connection", f"{streams[0]} also needs did, the account's DID, such as did:plc:…")
