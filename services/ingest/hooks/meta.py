"""What Facebook, Instagram and Threads have in common: how Meta makes sure of an address, and how it signs.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

from collections.abc import Mapping, Sequence

from services.ingest.hooks.hook import Answer, UnsignedError, fits, hexdigest

LARGEST_BODY = 4 * 2**20
"""Bytes. A delivery has up to 1,000 changes, nearly all of them short."""
_SIGNATURE = "x-hub-signature-256"


def challenge(query: Mapping[str, str], token: str) -> Answer:
    """Echoes `hub.challenge` to whoever knows the token. Raises UnsignedError."""
    if query.get("hub.mode") != "subscribe":
        raise UnsignedError("hub.mode is not subscribe")
    if not token or not fits(query.get("hub.verify_token", ""), [token]):
        raise UnsignedError("hub.verify_token is not the one that is set here")
    return Answer(query.get("hub.challenge", "").encode(), "text/plain; charset=utf-8")


def check(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> None:
    """Raises UnsignedError unless the body is signed with one of the app's secrets."""
    given = headers.get(_SIGNATURE, "")
    if not given:
        raise UnsignedError("X-Hub-Signature-256 is missing")
    if not fits(given, [f"sha256={hexdigest(secret, body)}" for secret in secrets]):
        raise UnsignedError("X-Hub-Signature-256 is not the body's, with none of the app's secrets")
