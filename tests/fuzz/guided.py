"""Fuzzing guided by coverage: what reaches code that nothing reached before is kept, and changed further.

The library is Atheris, which is libFuzzer for Python. It ends the process when it is done, so each target has one.
"""

import contextlib
import hashlib
import io
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import atheris

from tests.fuzz.mutator import Mutator

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

HERE = Path(__file__).parent
REGRESSIONS = HERE / "regressions"
"""A folder per target, with what was found once."""
CORPUS = HERE.parents[1] / ".fuzz"
"""A folder per target: what it has come to know (`corpus`), what it found (`found-…`), and its log."""
OURS = ("services", "rapport")
"""The packages whose coverage counts."""
SLOWEST_SECONDS = 20
"""For one input, where the time of a run is limited and not its number of inputs."""
MOST_MEMORY_MIB = 2_048
_WORD = re.compile(rb'"([^"\\]{1,40})"')
_MOST_WORDS = 400
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PLAIN = frozenset(range(32, 127)) - {ord('"'), ord("\\")}


class Run(NamedTuple):
    """What became of fuzzing a target: how many inputs were tried, and what was found, with its traceback."""

    name: str
    tried: int
    found: Sequence[Path]
    said: str


@contextlib.contextmanager
def instrumented() -> Iterator[None]:
    """What is imported of ours within it is guided by."""
    # Atheris says each module's name.
    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=list(OURS)):
        yield


def fuzz(name: str, make: "Callable[[], Target]", folder: Path, *, limits: Sequence[str], seed: int) -> Run:
    """Fuzzes one target in a process of its own. `limits` are libFuzzer's options that say when it ends."""
    place = folder / name
    shutil.rmtree(place / "seeds", ignore_errors=True)
    for each in (place / "seeds", place / "corpus"):
        each.mkdir(parents=True, exist_ok=True)
    before = set(place.glob("found-*"))
    log = place / "log"
    child = os.fork()
    if child == 0:
        _become(name, make, place, log, limits, seed)
    _, status = os.waitpid(child, 0)
    said = log.read_text(errors="replace")
    tried = _EXECUTED.search(said)
    found = sorted(set(place.glob("found-*")) - before)
    if os.waitstatus_to_exitcode(status) != 0 and not found:
        found = [log]
    return Run(name, int(tried[1]) if tried else 0, found, said)


def _become(name: str, make: "Callable[[], Target]", place: Path, log: Path, limits: Sequence[str], seed: int) -> None:
    """The process that fuzzes. Does not return."""
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        target = make()
        for number, each in enumerate(target.seeds):
            (place / "seeds" / f"{number:03}").write_bytes(each)
        words = place / "words"
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in dictionary(target.seeds)))
        folders = [place / "corpus", place / "seeds"]
        if (REGRESSIONS / name).is_dir():
            folders.append(REGRESSIONS / name)
        mutator = Mutator(target.seeds)

        def mutate(data: bytes, longest: int, number: int) -> bytes:
            # Two of three times as JSON, where it is that.
            made = mutator.mutated(data, number) if target.is_json and number % 3 else None
            return made if made is not None and len(made) <= longest else bytes(atheris.Mutate(data, longest))

        arguments = [
            name, *map(str, folders), f"-seed={seed}", f"-dict={words}", f"-artifact_prefix={place}/found-",
            f"-max_len={target.longest}", f"-rss_limit_mb={MOST_MEMORY_MIB}", "-print_final_stats=1", "-reload=0",
            *limits,
        ]  # fmt: skip
        atheris.Setup(arguments, _keeping(target, place), custom_mutator=mutate)
        atheris.Fuzz()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    os._exit(1)


def _keeping(target: "Target", place: Path) -> Callable[[bytes], None]:
    """The target's check; what it fails on is kept, and ends the process."""

    def check(data: bytes) -> None:
        try:
            target.check(data)
        except Exception:
            (place / f"found-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    return check


def dictionary(seeds: Sequence[bytes]) -> list[bytes]:
    """Words that stand in the seeds, and some that surprise."""
    words = dict.fromkeys(word for seed in seeds for word in _WORD.findall(seed))
    odd = (b"null", b"true", b"1e400", b"-1", b"\\ud800", b"\x00", b"[[[[", b"{}", b"253402300800")
    return [*list(words)[:_MOST_WORDS], *odd]


def _escaped(word: bytes) -> str:
    return "".join(chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in word)


def run(
    targets: "Mapping[str, Callable[[], Target]]", folder: Path, *, limits: Sequence[str], seed: int
) -> Iterator[Run]:
    """Fuzzes targets, one after the other."""
    for name, make in targets.items():
        yield fuzz(name, make, folder, limits=limits, seed=seed)
