"""The table of what each platform gives is what the connectors declare, and they declare what they bring."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.ingest.connectors import table
from services.ingest.connectors.capabilities import COLUMNS, NO
from services.ingest.connectors.platforms import CAPABILITIES
from tests.deliveries import FOLDER

DOC = Path(__file__).parents[4] / "docs" / "platforms.md"
RECORDED = sorted(platform for platform in CAPABILITIES if (FOLDER / platform).is_dir())


def test_the_table_is_in_the_docs() -> None:
    assert table.markdown() in DOC.read_text(), "put what `python -m services.ingest.connectors.table` prints into it"


def test_every_package_declares_what_it_gives() -> None:
    folder = Path(table.__file__).parent
    assert {each.parent.name for each in folder.glob("*/__init__.py")} == set(CAPABILITIES)
    for platform, each in CAPABILITIES.items():
        assert set(each.gives) <= set(COLUMNS), platform


def told(platform: str) -> list[dict[str, Any]]:
    """All interactions that the recorded deliveries of a platform become."""
    files = sorted((FOLDER / platform).glob("*.expected.json"))
    expected = [json.loads(file.read_text()) for file in files]
    return [one for found in expected for one in (found["interactions"] if isinstance(found, dict) else found)]


@pytest.mark.parametrize("platform", RECORDED)
@pytest.mark.parametrize("column", COLUMNS)
def test_what_is_declared_is_what_recorded_deliveries_become(platform: str, column: str) -> None:
    cell = CAPABILITIES[platform].cell(column)
    found: Sequence[dict[str, Any]] = [one for one in told(platform) if one["kind"] in COLUMNS[column]]
    assert bool(found) == (cell != NO), f"{cell}, and deliveries have {len(found)}"
    if COLUMNS[column] != COLUMNS["edits, deletions"] and found:
        undone = any(one.get("undo") for one in found)
        assert undone <= bool(re.search("and undone|on messages", cell)), f"{cell}, and one is undone"
