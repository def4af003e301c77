"""Everything that API and portal take from a caller, found in the routes and the models themselves."""

import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, get_args, get_origin

from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.api.app import create_app
from services.api.settings import ApiSettings

Taken = tuple[str, Any]
"""Where it is taken, and its type with all that limits it."""


def everything() -> Iterator[Taken]:
    """Each parameter and each field of each model, once."""
    models: dict[type[BaseModel], None] = {}
    seen: set[str] = set()
    for route in _routes(create_app(ApiSettings()).routes):
        needed = list(_needed(route.dependant))
        for place in ("path", "query", "header", "cookie", "body"):
            for each in (param for one in needed for param in getattr(one, f"{place}_params")):
                where = f"{'/'.join(sorted(route.methods or ()))} {route.path} {place} {each.alias}"
                its = whole(each.field_info)
                models |= dict.fromkeys(_models(its))
                if where not in seen:
                    seen.add(where)
                    yield where, its
    waiting = list(models)
    known: set[type[BaseModel]] = set()
    while waiting:
        model = waiting.pop()
        if model in known:
            continue
        known.add(model)
        for name, field in model.model_fields.items():
            its = whole(field)
            waiting += _models(its)
            yield f"{model.__module__}.{model.__qualname__}.{name}", its


def _routes(found: Iterable[Any]) -> Iterator[APIRoute]:
    for each in found:
        if isinstance(each, APIRoute):
            yield each
        elif (inner := getattr(each, "original_router", None)) is not None:
            yield from _routes(inner.routes)


def _needed(dependant: Any) -> Iterator[Any]:
    yield dependant
    for each in dependant.dependencies:
        yield from _needed(each)


def whole(field: FieldInfo) -> Any:
    """The annotation of a field with its constraints."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def leaves(its: Any, limits: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The plain types in an annotation, each with the constraints around it."""
    if get_origin(its) is Annotated:
        inner, *more = get_args(its)
        yield from leaves(inner, (*limits, *more))
    elif isinstance(its, types.UnionType) or get_args(its):
        for each in get_args(its):
            if not isinstance(each, (str, int)) and each is not type(None) and each is not Ellipsis:
                yield from leaves(each, limits if _is_union(its) else ())
    else:
        yield its, limits


def _is_union(its: Any) -> bool:
    return isinstance(its, types.UnionType) or str(get_origin(its)) == "typing.Union"


def _models(its: Any) -> list[type[BaseModel]]:
    return [leaf for leaf, _ in leaves(its) if isinstance(leaf, type) and issubclass(leaf, BaseModel)]
