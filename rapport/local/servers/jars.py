"""The broker's Java libraries: a locked list, fetched once into the user's cache and checked by hash.

`python -m rapport.local.servers.jars` updates the list.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rapport.local.errors import StackError

KAFKA_VERSION = "4.1.0"
# Resolved one by one: the managed versions of the second must not affect the libraries of the first.
_ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")
_LOCK = Path(__file__).with_name("jars.txt")
_TRIES = 3
_PARALLEL = 8
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Jar:
    """One library by its Maven coordinate, with the hash and size of its file."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def file(self) -> str:
        """Its file name in our cache."""
        return f"{self.artifact}-{self.version}.jar"


def cache() -> Path:
    """Where downloads are kept: RAPPORT_CACHE, else `rapport` in the user's cache folder."""
    if given := os.environ.get("RAPPORT_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rapport"


def locked() -> list[Jar]:
    """The libraries of the lock."""
    jars = []
    for line in _LOCK.read_text().splitlines():
        coordinate, sha256, size = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(group, artifact, version, sha256, int(size)))
    return jars


def classpath(on_progress: Callable[[str], None]) -> str:
    """Java's class path of the broker, in the lock's order; fetches what is not cached. Raises StackError."""
    folder = cache() / f"kafka-{KAFKA_VERSION}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(f"{folder} cannot hold Kafka's libraries: {error.strerror}. Set RAPPORT_CACHE") from error
    jars = locked()
    missing = [jar for jar in jars if not (folder / jar.file).exists()]
    if missing:
        _fetch(missing, folder, on_progress)
    return os.pathsep.join(str(folder / jar.file) for jar in jars)


def _fetch(missing: list[Jar], folder: Path, on_progress: Callable[[str], None]) -> None:
    total = sum(jar.size for jar in missing) / 1e6
    done = 0.0
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as scratch,
        ThreadPoolExecutor(_PARALLEL) as pool,
    ):
        on_progress(f"fetching Kafka {KAFKA_VERSION}: 0 of {total:.0f} MB")
        futures = {pool.submit(_fetch_one, jar, folder, Path(scratch)): jar for jar in missing}
        try:
            for future in as_completed(futures):
                future.result()
                done += futures[future].size / 1e6
                on_progress(f"fetching Kafka {KAFKA_VERSION}: {done:.0f} of {total:.0f} MB")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_one(jar: Jar, folder: Path, scratch: Path) -> None:
    reason = ""
    for attempt in range(_TRIES):
        # Each try has a folder of its own: a file cut short by a broken connection must not pass for a whole one.
        place = scratch / f"{jar.artifact}-{attempt}"
        context = _maven(place)
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        try:
            fetched = context.resolver.download(artifact)
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            reason = f"{type(error).__name__}: {error}"
            continue
        if fetched is not None and _sha256(fetched) == jar.sha256:
            shutil.move(fetched, folder / jar.file)  # within one file system, so a rename: whole or not there
            return
        reason = "its content is not what the lock says"
    raise StackError(
        f"Kafka's library {jar.group}:{jar.artifact}:{jar.version} could not be fetched ({reason}): the first start "
        "needs the network, or set RAPPORT_KAFKA to the address of a broker (Docker: `docker compose up --wait kafka`)"
    )


def _maven(repository: Path) -> Any:
    # Imported only if something is missing: it takes longer than everything else of a start from the cache.
    from jgo.maven import MavenContext, PythonResolver

    return MavenContext(repo_cache=repository, resolver=PythonResolver(), timeout=_TIMEOUT_SECONDS)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _resolve() -> list[str]:
    found: dict[tuple[str, str], str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        context = _maven(Path(scratch))
        for root in _ROOTS:
            inputs, dependencies = context.resolver.resolve([context.create_dependency(root)])
            for one in [*inputs, *dependencies]:
                if (one.groupId, one.artifactId) in found:
                    continue
                path = one.artifact.resolve()
                found[one.groupId, one.artifactId] = (
                    f"{one.groupId}:{one.artifactId}:{one.version} {_sha256(path)} {path.stat().st_size}"
                )
    return list(found.values())


if __name__ == "__main__":
    _LOCK.write_text("\n".join(_resolve()) + "\n")
    sys.stdout.write(f"{_LOCK}: {len(locked())} libraries\n")
