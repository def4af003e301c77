"""How large the body of a request may be."""

LARGEST_BODY = 256 * 1024
"""No setting is nearly as large."""
LARGEST_FILE = 1 << 20
"""Of a file that is sent to be read: calendars and tables."""
LARGEST_FORM_OF_A_FILE = 4 * LARGEST_FILE
"""In a form each byte of a file may become three, and there are other fields."""

_FILES = ("/policy/holidays", "/calendar/import", "/identities/import")
_FORMS_OF_FILES = ("/calendar/file", "/identities/file")


def largest_body(path: str) -> int:
    """The most bytes that a request to this path may have."""
    if path.startswith("/v1/"):
        # One byte more gets through, so that the reader can say by itself that its file is too large.
        return LARGEST_FILE + 1 if path.endswith(_FILES) else LARGEST_BODY
    return LARGEST_FORM_OF_A_FILE if path.endswith(_FORMS_OF_FILES) else LARGEST_BODY
