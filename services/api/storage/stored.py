"""Reads stored values that a later version of Rapport, running beside this one, may have written."""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from rapport.contracts.codec import NewerError

T = TypeVar("T")


def read(value: object, shape: type[T]) -> T:
    """A stored value as a struct, without fields that this version does not know.

    Raises NewerError if only a later version can read it.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise NewerError(f"what is stored can only be read by a later version: {error}") from error


def read_whole(value: object, shape: type[T]) -> T:
    """The same for values that are passed on to others. Raises NewerError also if a field would be lost."""
    found = read(value, shape)
    unknown = next(_unknown(value, inspect.type_info(shape)), None)
    if unknown is not None:
        raise NewerError(f"what is stored has the field {unknown}, which only a later version can pass on")
    return found


def _unknown(value: Any, shape: inspect.Type) -> Iterator[str]:
    """The fields of a value that the struct lacks."""
    match shape:
        case inspect.StructType() if isinstance(value, dict):
            fields = {each.encode_name: each.type for each in shape.fields}
            for name, inner in value.items():
                if name in fields:
                    yield from _unknown(inner, fields[name])
                elif name != shape.tag_field:
                    yield name
        case inspect.UnionType():
            every = [list(_unknown(value, each)) for each in shape.types]
            yield from min(every, key=len)
        case inspect.DictType() if isinstance(value, dict):
            for inner in value.values():
                yield from _unknown(inner, shape.value_type)
        case inspect.ListType() | inspect.VarTupleType() if isinstance(value, list):
            for inner in value:
                yield from _unknown(inner, shape.item_type)
