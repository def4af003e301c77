"""What structs are made of."""

from msgspec import inspect


def structs(shape: inspect.Type, found: dict[str, inspect.StructType] | None = None) -> dict[str, inspect.StructType]:
    """Every struct that a shape leads to, itself included, by the name of its class. `found`: those known before."""
    found = {} if found is None else found
    match shape:
        case inspect.StructType() if shape.cls.__name__ not in found:
            found[shape.cls.__name__] = shape
            for each in shape.fields:
                structs(each.type, found)
        case inspect.UnionType():
            for option in shape.types:
                structs(option, found)
        case inspect.DictType():
            structs(shape.value_type, found)
        case inspect.VarTupleType() | inspect.ListType():
            structs(shape.item_type, found)
        case inspect.TupleType():
            for item in shape.item_types:
                structs(item, found)
    return found
