"""What each platform gives and takes: `python -m services.ingest.connectors.table` prints the table in docs."""

import sys
from typing import get_args

from rapport.contracts.errands import Deed
from rapport.domain.errands import ABLE, MESSAGED
from services.ingest.connectors.capabilities import COLUMNS
from services.ingest.connectors.platforms import CAPABILITIES


def markdown() -> str:
    """The table."""
    rows = [
        "| " + " | ".join(["", *COLUMNS, "from here", "how"]).strip() + " |",
        "|" + "---|" * (len(COLUMNS) + 3),
        *(
            "| " + " | ".join([each.name, *(each.cell(column) for column in COLUMNS), _done(name), each.how]) + " |"
            for name, each in CAPABILITIES.items()
        ),
    ]
    return "\n".join(rows)


def _done(platform: str) -> str:
    """What can be done on a platform from here."""
    able = ABLE.get(platform, frozenset())
    said: list[str] = [deed for deed in get_args(Deed) if deed in able and deed != "unhide"]
    if platform in MESSAGED:
        said[said.index("answer")] = "answer, messages too"
    return ", ".join(said) if said else "a link"


if __name__ == "__main__":
    sys.stdout.write(f"{markdown()}\n")
