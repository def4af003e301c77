"""What people are called, the same in mails, webhooks and the portal."""

from rapport.kit.text import is_blank, one_line, short_id

LONGEST_NAME = 60
_DID = "did:"
"""How the ids of platforms begin where anybody can claim any handle, Bluesky above all.

Ingest passes on only those handles that lead back to the same person.
"""

_URN = "urn:li:"
"""How LinkedIn's ids begin. Its terms let nobody keep a member's name for longer than a day, so most have none."""


def handle_verified(id: str, handle: str | None) -> bool | None:
    """Whether a person's handle is known to be theirs. None where the platform itself gives handles out."""
    return not is_blank(handle) if id.startswith(_DID) else None


def by_handle(id: str, handle: str | None, name: str | None) -> str:
    """`@handle`, else the name, else the short form of the platform's id."""
    shown = one_line(handle or "", LONGEST_NAME).lstrip("@")
    return by_name(id, None, name) if is_blank(shown) else f"@{shown}"


def by_name(id: str, handle: str | None, name: str | None) -> str:
    """The name, else the handle, else the short form of the platform's id, marked where a handle is not verified."""
    for found in (name, handle):
        if found is not None and not is_blank(found):
            return one_line(found, LONGEST_NAME)
    if id.startswith(_URN):
        what, _, which = id.removeprefix(_URN).partition(":")
        return f"LinkedIn {'member' if what == 'person' else one_line(what, LONGEST_NAME)} {short_id(which)}"
    return f"{short_id(id)} (unverified)" if id.startswith(_DID) else short_id(id)
