"""A worker of an earlier version drops fields that it does not know from the rows that it changes, so it must not.

`rows_format.json` has the fields of every row of the scorer's, and the format that they are. A new field, or a new
row, fails here until `ROWS_FORMAT` in `services/scorer/rows/` has gone up by one, and
`python -m tests.services.scorer.rows.test_rows_format` has written the file again.
"""

import ast
import json
from pathlib import Path
from typing import Any

from msgspec import Struct, inspect

from rapport.contracts.controls import PolicyVersion
from rapport.contracts.rows import FollowerRow
from rapport.domain.exchanges.publication import Thread
from rapport.domain.relationships.counting import CountedFact, Thing
from services.scorer import rows
from services.scorer.fenced.state import Position
from services.scorer.rows.erased import ErasedRow
from services.scorer.rows.exchanges import HeardRow, MessagesRow, ObjectRow, SettingsRow
from services.scorer.rows.relationships import OpenExchangeRow, ScoringRow
from tests.contracts.shapes import structs

FILE = Path(__file__).with_name("rows_format.json")
SCORER = Path(rows.__file__).parent.parent
ROWS: tuple[type[Struct], ...] = (
    CountedFact, ErasedRow, FollowerRow, HeardRow, MessagesRow, ObjectRow, OpenExchangeRow, PolicyVersion, Position,
    ScoringRow, SettingsRow, Thing, Thread,
)  # fmt: skip


def described() -> dict[str, Any]:
    """What the file says of this version."""
    found: dict[str, inspect.StructType] = {}
    for row in ROWS:
        structs(inspect.type_info(row), found)
    fields = {name: sorted(each.encode_name for each in shape.fields) for name, shape in sorted(found.items())}
    return {"format": rows.ROWS_FORMAT, "fields": fields}


def test_a_row_that_has_more_than_before_has_another_format() -> None:
    assert json.loads(FILE.read_text()) == described(), __doc__


def test_every_row_that_is_read_is_here() -> None:
    read: set[str] = set()
    for file in SCORER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "row":
                read.add(ast.unparse(node.args[1]))
    # The pruner is given shapes that are read elsewhere too.
    assert read - {"kind.shape"} <= {row.__name__ for row in ROWS}


if __name__ == "__main__":
    FILE.write_text(json.dumps(described(), indent=1) + "\n")
