"""What the documentation tells its readers to type."""

import re
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[2]
PAGES = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
"""Every page, by its path in the repository."""
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)
FENCED = re.compile(r"^( *)```\w*\n(.*?)^\1```$", re.M | re.S)
_SPAN = re.compile(r"`([^`]+)`")
_NAMED = re.compile(r"`(rapport [^`]+)`")
_TYPED = re.compile(r"(?:^|[|;&(])\s*(?:\$ )?(?:[A-Z_]+=\S+ +)*(?:\.venv/bin/)?rapport +([^|)#;&<>]*)")
_DONE = "---the-command-is-done---"


class Command(NamedTuple):
    """A `rapport …` of a page, without that word."""

    words: str
    whole: bool
    """Whether it can be typed as it is. Within the text only a part of a command may be named."""


def blocks(page: str) -> list[str]:
    """The shell blocks of a page, in order."""
    return _BLOCK.findall((ROOT / page).read_text())


def lines(page: str) -> list[str]:
    """The lines of all blocks of a page, whatever they are in; a command that goes on in the next line is one."""
    found = FENCED.findall((ROOT / page).read_text())
    return [line for _, block in found for line in block.replace("\\\n", " ").splitlines()]


def spans(page: str) -> list[str]:
    """What stands between two backticks within the text of a page, on one line each."""
    return [" ".join(each.split()) for each in _SPAN.findall(FENCED.sub("", (ROOT / page).read_text()))]


def commands(page: str) -> list[Command]:
    """Every `rapport …` of a page, in blocks and within the text."""
    return [
        Command(found.strip(), whole)
        for typed, whole in ((lines(page), True), (spans(page), False))
        for line in typed
        for found in _TYPED.findall(line)
    ]


def named(message: str) -> list[Command]:
    """Every `rapport …` that a message of the code names."""
    return [Command(found.strip(), False) for each in _NAMED.findall(message) for found in _TYPED.findall(each)]


class Shell:
    """One bash, as a reader has it open: variables stay from block to block. Use as a context manager."""

    def __enter__(self) -> Self:
        self._bash = subprocess.Popen(
            ["bash", "-o", "pipefail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bash.kill()
        self._bash.wait()

    def run(self, block: str, within_seconds: float = 120) -> tuple[int, str]:
        """Runs a block; gives the exit code of its last command, and everything that it printed."""
        stdin, stdout = self._bash.stdin, self._bash.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{block}\necho; echo {_DONE} $?\n")
        stdin.flush()
        timer = threading.Timer(within_seconds, self._bash.kill)
        timer.start()
        said: list[str] = []
        try:
            for line in stdout:
                if line.startswith(_DONE):
                    return int(line.split()[-1]), "".join(said)
                said.append(line)
        finally:
            timer.cancel()
        raise AssertionError(f"the shell ended within {block!r}: {''.join(said)}")
