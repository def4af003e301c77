"""A brand's channels as they are stored: some may be of a later version, by their type or by their shape."""

from collections.abc import Iterable
from typing import Any

import msgspec

from rapport.contracts.events import Channel
from rapport.kit.mongo import Document


def by_knowledge(stored: Iterable[Any]) -> tuple[list[Document], list[Any]]:
    """The channels that this version can read, and the others, which it has to leave as they are."""
    known: list[Document] = []
    others: list[Any] = []
    for each in stored:
        try:
            msgspec.convert(each, Channel)
        except msgspec.ValidationError:
            others.append(each)
        else:
            known.append(each)
    return known, others


def id_of(channel: Any) -> str | None:
    """The id of any channel; None where it has none that this version can read."""
    found = channel.get("id") if isinstance(channel, dict) else None
    return found if isinstance(found, str) else None


def name_of(channel: Any) -> str:
    """What people call any channel: its id and its type."""
    kind = channel.get("type") if isinstance(channel, dict) else None
    return f"{id_of(channel) or 'without an id'} ({kind if isinstance(kind, str) else 'of an unknown type'})"
