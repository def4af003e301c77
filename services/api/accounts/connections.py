"""Checks an account's connection when it is saved. Later ingest could only complain in its log."""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from rapport.domain.times import in_range
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
OF_A_TOKEN = ("token", "refresh_token", "token_expires_at")
"""An access token, what it is renewed with, and when it ends (RFC 3339)."""
READ = {
    "bluesky": ("did", "jetstream", "service", "password"),
    "mastodon": ("service", "user", *OF_A_TOKEN),
    **{name: (*fields, *OF_A_TOKEN) for name, fields in NEEDED.items()},
    "instagram": (*NEEDED["instagram"], "login", "page", *OF_A_TOKEN),
    "linkedin": (*NEEDED["linkedin"], "member", *OF_A_TOKEN),
}
"""What each platform's connector reads, and what is kept to renew a token. Platforms without a connector are not
checked. Mastodon's `user` is the account's id on its server; Instagram's `login` is `facebook` if its token is from
there, and `page` the Facebook Page to which it belongs; LinkedIn's `member` is the URN of the person as whom the page
is subscribed."""
STREAMS = ("jetstream", "service")
_ORGANIZATIONS = ("urn:li:organization:", "urn:li:company:")
"""LinkedIn's webhooks find an account under each of these and under the bare number."""
_SERVER = re.compile(r"https?://[^/?#@\s]+/?")
_TOKEN = re.compile(r"[\x21-\x7e]+")


def itself(platform: str, connection: Mapping[str, str]) -> tuple[str, str] | None:
    """The field that has the platform's id of the account, and the id. None where there is none."""
    needed = NEEDED.get(platform)
    found = connection.get(needed[0], "").strip() if needed else ""
    return (needed[0], found) if needed and found else None


def spellings(platform: str, its_id: str) -> list[str]:
    """How the platform's id of the same account may be written in a connection."""
    if platform != "linkedin":
        return [its_id]
    number = its_id.rpartition(":")[2]
    return sorted({its_id, number, *(f"{kind}{number}" for kind in _ORGANIZATIONS)})


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
    _check_token(connection)
    if platform == "mastodon":
        return
    streams = [name for name in STREAMS if name in connection]
    if len(streams) > 1:
        raise invalid("connection", f"use only one of {' and '.join(streams)}")
    needing = [*streams, *(name for name in ("password",) if name in connection)]
    if needing and not connection.get("did", "").startswith("did:"):
        raise invalid("connection", f"{needing[0]} also needs did, the account's DID, such as did:plc:…")
    for name in streams:
        if _has_login(connection[name]):
            raise invalid("connection", f"{name} has a login before the @, which would be stored unsealed; take it out")


def _has_login(address: str) -> bool:
    try:
        return "@" in urlsplit(address).netloc
    except ValueError:
        return "@" in address


def _check_token(connection: Mapping[str, str]) -> None:
    for name in ("token", "refresh_token"):
        if name in connection and not _TOKEN.fullmatch(connection[name]):
            raise invalid("connection", f"{name} is not a token: it has blanks or characters that no header can carry")
    if "token_expires_at" in connection and expiry(connection) is None:
        raise invalid("connection", "token_expires_at is not a time such as 2026-11-29T18:00:00Z")


def expiry(connection: Mapping[str, str]) -> datetime | None:
    """When an account's token ends; None if it does not, or nobody knows."""
    try:
        found = datetime.fromisoformat(connection.get("token_expires_at", ""))
    except ValueError:
        return None
    return found if found.tzinfo is not None and in_range(found) else None


def _check_mastodon(connection: Mapping[str, str]) -> None:
    if not connection:
        return  # it is fed through the generic door
    if not _SERVER.fullmatch(connection.get("service", "")):
        raise invalid(
            "connection", "service is missing: the address of the account's server, such as https://mastodon.social"
        )
    if not _TOKEN.fullmatch(connection.get("token", "")):
        raise invalid("connection", "token is missing: the access token of an application on the account's server")
