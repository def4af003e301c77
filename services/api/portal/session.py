"""The portal's sessions: a signed cookie that names the key that opened it, and until when.

The cookie holds no secret and grants nothing by itself: each request looks the key up again, so a key that is revoked
or expires ends its sessions at once.
"""

import base64
import hashlib
import hmac

LIFETIME_SECONDS = 12 * 3600
"""A working day: who opens the portal each morning logs in once."""
COOKIE = "rapport_session"


def issue(key_id: str, now: float, secret: bytes) -> str:
    """A session of this key from `now` (seconds since 1970) on."""
    said = f"{key_id}.{int(now) + LIFETIME_SECONDS}"
    return f"{said}.{_signature(said, secret)}"


def key_of(cookie: str, now: float, secret: bytes) -> str | None:
    """The id of the key whose session this is; None where it is over, or not of our making."""
    said, _, signature = cookie.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(said, secret).encode()):
        return None
    key_id, _, until = said.rpartition(".")
    return key_id if int(until) > now else None


def _signature(said: str, secret: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, said.encode(), hashlib.sha256)).decode().rstrip("=")
