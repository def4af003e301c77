"""The parts of an interaction as a sender writes them.

A field that we do not know is refused by name: `txt` for `text` would otherwise lose what somebody wrote without a
word. Readers of the log still tolerate unknown fields, because the log outlives versions.
"""

import difflib
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from rapport.contracts.events import Actor, Object, Parent, Text
from rapport.domain.exchanges.fitting import MOST_LINKS, Handle, Name, Reference, Url

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


class StrictActor(Actor, frozen=True, forbid_unknown_fields=True):
    """An `Actor` with no other fields, and none that is too long."""

    id: Text
    handle: Handle | None = None
    name: Name | None = None
    avatar_url: Url | None = None
    bot: bool = False
    url: Url | None = None
    links: Annotated[tuple[Url, ...], Meta(max_length=MOST_LINKS)] = ()

    def plain(self) -> Actor:
        """The same, as it goes into the log."""
        return Actor(**msgspec.structs.asdict(self))


class StrictObject(Object, frozen=True, forbid_unknown_fields=True):
    """An `Object` with no other fields, and none that is too long."""

    id: Text
    url: Url | None = None

    def plain(self) -> Object:
        """The same, as it goes into the log."""
        return Object(**msgspec.structs.asdict(self))


class StrictParent(Parent, frozen=True, forbid_unknown_fields=True):
    """A `Parent` with no other fields, and none that is too long."""

    id: Text
    actor: Reference | None = None

    def plain(self) -> Parent:
        """The same, as it goes into the log."""
        return Parent(**msgspec.structs.asdict(self))


def unknown_field(why: str, path: str, whole: type[Struct]) -> tuple[str, str] | None:
    """Turns msgspec's error about an unknown field of `whole` at `path` into where and why. None for other errors."""
    found = _UNKNOWN.fullmatch(why)
    if found is None:
        return None
    name = found[1][:100]
    known = _fields(whole, path)
    near = difflib.get_close_matches(name, known, 1) or [each for each in known if each.lower() == name.lower()]
    return f"{path}.{name}".lstrip("."), f"unknown field {name}" + (f"; did you mean {near[0]}?" if near else "")


def _fields(whole: type[Struct], path: str) -> list[str]:
    """The names of the fields of the struct at `path` in `whole`."""
    at: Any = whole
    for part in filter(None, path.split(".")):
        fields = {each.name: each.type for each in msgspec.structs.fields(at)}
        options = getattr(fields.get(part), "__args__", (fields.get(part),))
        structs = [each for each in options if isinstance(each, type) and issubclass(each, Struct)]
        if not structs:
            return []
        at = structs[0]
    return [each.name for each in msgspec.structs.fields(at)]
