"""Hidden fields of every form in the portal, and types of fields."""

import secrets
from contextvars import ContextVar
from typing import Annotated

from fastapi import Form
from markupsafe import Markup

SHOWN_AT: ContextVar[str] = ContextVar("shown_at", default="/")
"""The address of the page with the form."""
BASE: ContextVar[str] = ContextVar("base", default="")
"""Scheme and host of this portal, as the visitor sees it."""
ONCE, PAGE, VERSION = "_once", "_page", "_version"
OWN = frozenset({ONCE, PAGE, VERSION})

LONGEST_TYPED = 10_000
LONGEST_NEXT = 64 * 1024
"""Of an address. The head of a request cannot be longer."""
LONGEST_REF = 4_096
"""Platforms' ids have at most 512 characters of up to four bytes, and are encoded in base64."""
TypedText = Annotated[str, Form(max_length=LONGEST_TYPED)]
"""Typed text. Longer than any field allows, so that each field can report its own limit."""
Ref = Annotated[str, Form(max_length=LONGEST_REF)]
"""An id or an address."""


def form_fields(version: str = "", notice: str | None = "") -> Markup:
    """Hidden fields for a template: the page of the form, a name for this rendering, and the version it shows.

    A `notice`, for example that the form is stale, is shown after them.
    """
    values = {ONCE: secrets.token_urlsafe(12), PAGE: SHOWN_AT.get(), VERSION: version}
    hidden = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value)
        for name, value in values.items()
        if value
    )
    return hidden + (Markup('<p class="wrong" role="alert">{}</p>').format(notice) if notice else Markup(""))
