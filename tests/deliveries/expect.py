"""`python -m tests.deliveries.expect FILE…` prints what becomes of deliveries. Read it before you keep it."""

import json
import sys
from pathlib import Path

from tests.deliveries import recording, said


def main() -> None:
    """Prints what becomes of each file, as JSON."""
    for name in sys.argv[1:]:
        one = recording(Path(name))
        delivery = one.read(one.body)
        for problem in delivery.problems:
            sys.stderr.write(f"{name}: {problem.where}: {problem.why}\n")
        if delivery.ignored:
            sys.stderr.write(f"{name}: ignored: {dict(delivery.ignored)}\n")
        sys.stdout.write(json.dumps(said(delivery), indent=2) + "\n")


if __name__ == "__main__":
    main()
