"""What is kept of a person who was erased: a hash, by which later records about them are recognised."""

import hashlib

ERASED = "erased"
"""Stands where the id of a person, or of something of theirs, was."""


def erased_name(brand: str, platform: str, follower: str) -> str:
    """The hash under which an erased follower of a brand is noted, in 32 hex digits."""
    return hashlib.sha256("\x1f".join((brand, platform, follower)).encode()).hexdigest()[:32]
