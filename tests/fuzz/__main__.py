"""`python -m tests.fuzz [TARGET …] --seconds N` fuzzes each target for so long; `make fuzz` calls it.

`--runs N` tries so many inputs instead, the same ones each time. Ends with 1 where something was found.
"""

import argparse
import os
import sys
from pathlib import Path

from tests.fuzz import guided

with guided.instrumented():
    from tests.fuzz.targets import TARGETS

SHOWN = 40
"""Lines of what was said where something was found."""


def main() -> int:
    """Says what was tried and what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all, if none is named: {', '.join(TARGETS)}")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    how_long.add_argument("--runs", type=int, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=0, help="another number tries other inputs")
    parser.add_argument("--corpus", type=Path, default=guided.CORPUS, help="where what is learned is kept")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; these are: {', '.join(TARGETS)}")
    limits = [f"-runs={given.runs}"]
    if given.runs is None:
        limits = [f"-max_total_time={given.seconds}", f"-timeout={guided.SLOWEST_SECONDS}"]
    chosen = {name: TARGETS[name] for name in given.targets or TARGETS}
    failed = False
    for done in guided.run(chosen, given.corpus, limits=limits, seed=given.seed or 1):
        print(f"{done.name}: {done.tried} inputs, {len(done.found)} found", flush=True)
        for file in done.found:
            failed = True
            print("\n".join(done.said.splitlines()[-SHOWN:]))
            print(f"{file}\nOnce it is mended: cp {file} {guided.REGRESSIONS / done.name}/")
    return int(failed)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # or the order of sets would be another each time
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.fuzz", *sys.argv[1:]])
    sys.exit(main())
