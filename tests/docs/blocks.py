"""What the documentation tells its readers to type."""

import re
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.M | re.S)
_INLINE = re.compile(r"`((?:\.venv/bin/)?rapport [^`]+)`")
_DONE = "---the-command-is-done---"


def blocks(page: str) -> list[str]:
    """The shell blocks of a page, in order."""
    return _BLOCK.findall((ROOT / page).read_text())


def commands(page: str) -> list[str]:
    """Every `rapport …` of a page, in blocks and within the text, on one line each."""
    text = (ROOT / page).read_text()
    joined = [line for block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    inside = [" ".join(found.split()) for found in _INLINE.findall(text)]
    found = []
    for line in (*joined, *inside):
        match = re.search(r"(?:\.venv/bin/)?\brapport ([^|)#;]*)", line)
        if match and not line.lstrip().startswith(("cd ", "#")):
            found.append(match[1].strip())
    return found


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
