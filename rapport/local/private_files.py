"""Files and folders that only their owner may read."""

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import Literal, TextIO

from rapport.local.errors import StackError

UMASK = 0o077
FOLDER_MODE = 0o700
FILE_MODE = 0o600
OURS = frozenset(
    {
        *("kafka", "mongodb", "logs", "secrets", "ingest", "scorer", "faust"),
        *("admin_key", "ports.json", "stack.json", "stack.lock", "installation.json", "installation.lock"),
    }
)
"""What an installation keeps in its data folder."""


def claim(data: Path) -> None:
    """Creates the folder if needed, and makes our files in it private to their owner.

    Earlier versions left files that everybody could read, so existing files are corrected too. A folder that also
    holds other things, such as a home, keeps its own permissions: only our files in it are closed to others.
    Raises StackError if it cannot be created, or belongs to another user.
    """
    try:
        data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        owner = data.stat().st_uid
        if owner != os.getuid():
            raise StackError(
                f"{data} belongs to {_name(owner)}, and you are {_name(os.getuid())}. "
                "Name a folder of your own with --data"
            )
        there = {path.name for path in data.iterdir()}
        if there <= OURS:
            _close(data)
        for name in there & OURS:
            _close(data / name)
            for folder, folders, files in os.walk(data / name):
                for inside in (*folders, *files):
                    _close(Path(folder, inside))
    except FileExistsError:
        raise StackError(f"{data} is a file, not a folder. Name another one with --data") from None
    except OSError as error:
        raise StackError(f"{data} cannot hold the data: {error.strerror}. Name another folder with --data") from None


def _close(path: Path) -> None:
    # Servers may be running in this folder, so files come and go.
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat().st_mode
        if not stat.S_ISLNK(found) and stat.S_IMODE(found) & UMASK:
            path.chmod(stat.S_IMODE(found) & ~UMASK)


def write_private(file: Path, content: bytes) -> None:
    """Writes a whole file at once."""
    whole = file.with_suffix(".new")
    whole.unlink(missing_ok=True)
    with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as stream:
        stream.write(content)
    whole.replace(file)


def opened(path: Path, mode: Literal["a", "w"]) -> TextIO:
    """Opens a file; a new one is private to its owner."""
    return open(path, mode, encoding="utf-8", opener=lambda name, flags: os.open(name, flags, FILE_MODE))


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"the user {user}"
