"""Limits of request bodies, in bytes."""

LARGEST_BODY = 256 * 1024
"""No setting comes close."""
LARGEST_FILE = 1 << 20
"""Uploaded calendars and tables."""
LARGEST_FORM_OF_A_FILE = 4 * LARGEST_FILE
"""A form can encode each byte of a file as three, and has other fields."""

_FILES = ("/policy/holidays", "/calendar/import", "/identities/import")
_FORMS_OF_FILES = ("/calendar/file", "/identities/file")


def largest_body(path: str) -> int:
    """The largest body that a request to this path can have."""
    if path.startswith("/v1/"):
        # One more byte is let through, so that the file's reader can report that it is too large.
        return LARGEST_FILE + 1 if path.endswith(_FILES) else LARGEST_BODY
    return LARGEST_FORM_OF_A_FILE if path.endswith(_FORMS_OF_FILES) else LARGEST_BODY
