"""The hidden fields that every form of the portal has, and where the page is that shows it."""

import secrets
from contextvars import ContextVar
from typing import Annotated

from fastapi import Form
from markupsafe import Markup

SHOWN_AT: ContextVar[str] = ContextVar("shown_at", default="/")
"""The address that shows the form again."""
BASE: ContextVar[str] = ContextVar("base", default="")
"""What addresses of this portal begin with, for who looks at it."""
ONCE, PAGE, VERSION = "_once", "_page", "_version"
OWN = frozenset({ONCE, PAGE, VERSION})

LONGEST_TYPED = 10_000
LONGEST_NEXT = 64 * 1024
"""An address that was asked for; the head of a request is no longer."""
LONGEST_REF = 4_096
"""Ids of platforms have 512 characters, of four bytes each at most, and are written in base64 after an address."""
TypedText = Annotated[str, Form(max_length=LONGEST_TYPED)]
"""What people type into a field. More than any field takes, so that each can say by itself that it is too long."""
Ref = Annotated[str, Form(max_length=LONGEST_REF)]
"""The id of a thing, or its address."""


def form_fields(version: str = "", notice: str | None = "") -> Markup:
    """Hidden fields for a template: where the form is shown, a name for this showing, and what version it shows.

    With a `notice`, such as that the form is stale, which comes before everything else.
    """
    values = {ONCE: secrets.token_urlsafe(12), PAGE: SHOWN_AT.get(), VERSION: version}
    hidden = Markup("").join(
        Markup('<input type="hidden" name="{}" value="{}">').format(name, value)
        for name, value in values.items()
        if value
    )
    return hidden + (Markup('<p class="wrong" role="alert">{}</p>').format(notice) if notice else Markup(""))
