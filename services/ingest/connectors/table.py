"""What each platform gives: `python -m services.ingest.connectors.table` prints the table of docs/platforms.md."""

import sys

from services.ingest.connectors.capabilities import COLUMNS
from services.ingest.connectors.platforms import CAPABILITIES


def markdown() -> str:
    """The table."""
    rows = [
        "| " + " | ".join(["", *COLUMNS, "how"]).strip() + " |",
        "|" + "---|" * (len(COLUMNS) + 2),
        *(
            "| " + " | ".join([each.name, *(each.cell(column) for column in COLUMNS), each.how]) + " |"
            for each in CAPABILITIES.values()
        ),
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(f"{markdown()}\n")
