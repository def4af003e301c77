"""The image's bill of materials in CycloneDX's JSON: `python -m deploy.sbom build/rapport.cdx.json`."""

import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.image.lock"
_IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.0",
    "python_version": "3.11",
    "sys_platform": "linux",
}
"""What the image is, in the words of the lock's markers."""


def installed(lock: str) -> str:
    """The entries of a lock that the image gets, with their hashes and without the markers that let them in."""
    kept = []
    for entry in lock.replace("\\\n", " ").splitlines():
        line = entry.partition("#")[0].strip()
        if not line:
            continue
        named, _, hashes = line.partition(" --hash=")
        requirement = Requirement(named.strip())
        if requirement.marker is None or requirement.marker.evaluate(_IMAGE):
            kept.append(f"{requirement.name}{requirement.specifier} --hash={hashes}")
    return "\n".join(kept) + "\n"


def write(target: Path) -> None:
    """Writes it. Raises CalledProcessError, with the tool's words, if it does not keep to CycloneDX's schema."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", "-"),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
            *("--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible", "--validate"),
            *("--output-file", str(target)),
        ],
        input=installed(LOCK.read_text()),
        text=True,
        capture_output=True,
        check=True,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
