"""Ids in URLs: opaque ones for followers, whose platforms' ids contain `:`, `/` and `#`; and ids made from names."""

import base64
import binascii
import re
import unicodedata


def follower_ref(platform: str, follower: str) -> str:
    """A follower's id within a brand."""
    return base64.urlsafe_b64encode(f"{platform}/{follower}".encode()).decode().rstrip("=")


def follower_parts(ref: str) -> tuple[str, str]:
    """The platform and the follower's id there. Raises ValueError for anything that `follower_ref` did not make."""
    try:
        raw = base64.b64decode(ref.encode("ascii") + b"=" * (-len(ref) % 4), altchars=b"-_", validate=True)
        platform, slash, follower = raw.decode().partition("/")
    except (binascii.Error, UnicodeError):
        raise ValueError("not a follower's id") from None
    if not slash or not platform or not follower:
        raise ValueError("not a follower's id")
    return platform, follower


def slug(name: str, otherwise: str) -> str:
    """An id from a name; of one without a letter that ids have, `otherwise`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or otherwise
