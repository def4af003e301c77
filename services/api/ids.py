"""A follower's id in addresses and lists: opaque and safe in a URL, as platforms' own ids hold `:`, `/`, `#`."""

import base64
import binascii


def follower_ref(platform: str, follower: str) -> str:
    """The id of a follower within a brand."""
    return base64.urlsafe_b64encode(f"{platform}/{follower}".encode()).decode().rstrip("=")


def follower_parts(ref: str) -> tuple[str, str]:
    """The platform, and the follower's id there. Raises ValueError where `follower_ref` did not make it."""
    try:
        raw = base64.b64decode(ref.encode("ascii") + b"=" * (-len(ref) % 4), altchars=b"-_", validate=True)
        platform, slash, follower = raw.decode().partition("/")
    except (binascii.Error, UnicodeError):
        raise ValueError("not a follower's id") from None
    if not slash or not platform or not follower:
        raise ValueError("not a follower's id")
    return platform, follower
