"""Finds the album that a pushed comment is on: Instagram names a part of it, and asking has found whose part that is.

What is pushed before the album was listed the first time, or without any medium, is not found.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started/webhooks-for-instagram
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec import structs

from rapport.contracts.cursors import Remembered, thing_key
from rapport.contracts.events import Interaction
from services.ingest.connectors.instagram import PLATFORM
from services.ingest.hooks.meta_pages import whole_of


def in_its_album(one: Interaction, remembered: Callable[[bytes], Any]) -> Interaction:
    """An interaction of any platform; one below a part of an album is below the album.

    `remembered` gives what ingest remembers under a key.
    """
    if one.platform != PLATFORM:
        return one
    try:
        found = remembered(thing_key(one.account, whole_of(one.conversation)))
    except sqlite3.Error:  # then it is told with what Instagram names, rather than not at all
        return one
    if not isinstance(found, Remembered):
        return one
    album = found.conversation
    return structs.replace(one, conversation=album, thread=album, post=album)
