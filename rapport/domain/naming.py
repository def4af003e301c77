"""What people are called, the same in mails, webhooks and the portal."""

from rapport.kit import text

LONGEST_NAME = 60
VERIFIED_ONLY = frozenset({"bluesky"})
"""Platforms where anybody can claim any handle. Ingest passes on only those that lead back to the same person."""


def handle_verified(platform: str, handle: str | None) -> bool | None:
    """Whether a person's handle is known to be theirs. None where the platform itself gives handles out."""
    return not text.is_blank(handle) if platform in VERIFIED_ONLY else None


def shown_id(platform: str, id: str) -> str:
    """What a person is called who has neither a handle nor a name that shows: the short form of the platform's id."""
    return f"{text.short_id(id)} (unverified)" if platform in VERIFIED_ONLY else text.short_id(id)


def by_handle(platform: str, id: str, handle: str | None, name: str | None) -> str:
    """`@handle`, else the name, else the short form of the id."""
    shown = text.one_line(handle or "", LONGEST_NAME).lstrip("@")
    return f"@{shown}" if not text.is_blank(shown) else by_name(platform, id, None, name)


def by_name(platform: str, id: str, handle: str | None, name: str | None) -> str:
    """The name, else the handle, else the short form of the id."""
    for found in (name, handle):
        if found is not None and not text.is_blank(found):
            return text.one_line(found, LONGEST_NAME)
    return shown_id(platform, id)
