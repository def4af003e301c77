"""Stored channels. A later version of Rapport may have stored some, with a type or fields that are new to this one."""

from collections.abc import Iterable
from typing import Any

import msgspec

from rapport.contracts.events import Channel
from services.api.channels.documents import ChannelDocument


def by_knowledge(stored: Iterable[Any]) -> tuple[list[ChannelDocument], list[Any]]:
    """The channels that this version can read, and the others, which it keeps as they are."""
    known: list[ChannelDocument] = []
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
    """The id of any channel; None if this version can read none."""
    found = channel.get("id") if isinstance(channel, dict) else None
    return found if isinstance(found, str) else None


def name_of(channel: Any) -> str:
    """A channel for people: its id and its type."""
    kind = channel.get("type") if isinstance(channel, dict) else None
    return f"{id_of(channel) or 'without an id'} ({kind if isinstance(kind, str) else 'of an unknown type'})"
