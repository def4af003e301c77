"""`python -m tests.deliveries.expect FILE…` prints what becomes of deliveries. Read it before you keep it."""

import json
import sys
from pathlib import Path

import msgspec

from tests.deliveries import HOOKS, OBSERVED_AT, lookup


def main() -> None:
    """Prints the interactions of each file, as JSON."""
    for name in sys.argv[1:]:
        file = Path(name)
        found, platform = json.loads(file.read_text()), file.resolve().parent.name
        body = found["text"].encode() if "text" in found else json.dumps(found["body"]).encode()
        delivery = HOOKS[platform].read(body, lookup(platform, found["accounts"]), OBSERVED_AT)
        for problem in delivery.problems:
            sys.stderr.write(f"{name}: {problem.where}: {problem.why}\n")
        if delivery.ignored:
            sys.stderr.write(f"{name}: ignored: {dict(delivery.ignored)}\n")
        sys.stdout.write(json.dumps(msgspec.to_builtins(delivery.interactions), indent=2) + "\n")


if __name__ == "__main__":
    main()
