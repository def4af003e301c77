"""The JSON Schemas of the event types, made from the structs: `python -m rapport.contracts.schema` writes them."""

import json
from pathlib import Path

import msgspec

from rapport.contracts.codec import SCHEMA
from rapport.contracts.rows import FollowerRow

FOLDER = Path(__file__).parent / "schemas"


def documents() -> dict[str, str]:
    """The text of each schema file by its name."""
    shapes = {**SCHEMA, "rapport.row.follower.v1": FollowerRow}
    return {
        f"{name}.json": json.dumps(
            {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **msgspec.json.schema(shape)},
            indent=2,
            sort_keys=True,
        )
        + "\n"
        for name, shape in shapes.items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in documents().items():
        (FOLDER / file).write_text(text)
