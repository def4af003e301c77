"""Checks an account's connection when it is saved. Later ingest could only complain in its log."""

import re
from collections.abc import Mapping

from services.api.http import unknown_fields
from services.api.http.problems import invalid

NEEDED = {
    "facebook": ("page",),
    "instagram": ("user",),
    "linkedin": ("organization",),
    "threads": ("user",),
    "tiktok": ("business", "identifier"),
    "x": ("user",),
    "youtube": ("channel",),
}
"""What a platform's webhooks are told apart by. The first is the platform's id of the account, without which they are
nobody's; without TikTok's second the account's own answers would be taken for comments."""
READ = {
    "bluesky": ("did", "jetstream", "service", "password"),
    "mastodon": ("service", "token"),
    **{name: (*fields, "token") for name, fields in NEEDED.items() if name != "x"},
    "x": NEEDED["x"],
}
"""What each platform's connector reads. Platforms without a connector are not checked."""
STREAMS = ("jetstream", "service")
_SERVER = re.compile(r"https?://[^/?#@\s]+/?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


def itself(platform: str, connection: Mapping[str, str]) -> tuple[str, str] | None:
    """The field that has the platform's id of the account, and the id. None where there is none."""
    needed = NEEDED.get(platform)
    found = connection.get(needed[0], "").strip() if needed else ""
    return (needed[0], found) if needed and found else None


def check(platform: str, connection: Mapping[str, str]) -> None:
    """Raises ProblemError (422) for a connection that could not be used."""
    known = READ.get(platform)
    if known is None:
        return
    for name in connection:
        if name not in known:
            raise invalid("connection", unknown_fields.why(name, known, what="name"))
    for needed in NEEDED.get(platform, ()) if connection else ():
        if not connection.get(needed, "").strip():
            raise invalid("connection", f"{needed} is missing: the platform's id of the account")
    if platform == "mastodon":
        _check_mastodon(connection)
        return
    streams = [name for name in STREAMS if name in connection]
    if len(streams) > 1:
        raise invalid("connection", f"use only one of {' and '.join(streams)}")
    if streams and not connection.get("did", "").startswith("did:"):
        raise invalid("connection", f"{streams[0]} also needs did, the account's DID, such as did:plc:…")


def _check_mastodon(connection: Mapping[str, str]) -> None:
    if not connection:
        return  # it is fed through the generic door
    if not _SERVER.fullmatch(connection.get("service", "")):
        raise invalid(
            "connection", "service is missing: the address of the account's server, such as https://mastodon.social"
        )
    if not _TOKEN.fullmatch(connection.get("token", "")):
        raise invalid("connection", "token is missing: the access token of an application on the account's server")
