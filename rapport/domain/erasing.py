"""What is left of a person who was erased: a name that tells nothing, by which what comes later is recognised."""

import hashlib

ERASED = "erased"
"""Stands where the id of a person, or of something of theirs, was."""


def erased_name(brand: str, platform: str, follower: str) -> str:
    """The name under which it is known that a follower of a brand was erased: a hash, of 32 hex digits."""
    return hashlib.sha256("\x1f".join((brand, platform, follower)).encode()).hexdigest()[:32]
