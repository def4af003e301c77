"""Links of the documentation lead to files and headings that are there, and so do the pages that code names."""

import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import FENCED, PAGES, ROOT

LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"(?<![$\w])(?<!/blob/main/)(docs/(?:[\w-]+/)*[\w-]+\.md)(?:#([\w-]+))?")
"""A page in a message, a comment or a manifest. `$docs/` is a variable of Grafana's; others have such a folder too."""
DECISION = re.compile(r"\bdocs/decisions/(\d{4})\b")
FILE = re.compile(r"`((?:rapport|services|deploy|tests|docs|bench)/[\w./-]+)`")
"""A file that a page names. What has a placeholder in it is not one."""
ELSEWHERE = {"rapport/mongodb", "rapport/admin", "rapport/sealing", "rapport/smtp"}
"""Names of secrets in a store that look like files."""
OUTSIDE = re.compile(r"[a-z]+:")
SAYING = ("rapport", "services", "deploy", "tests", "bench", ".ci")
WRITTEN_IN = {".py", ".html", ".js", ".json", ".yaml", ".yml", ".toml", ".sh"}


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#{1,6} +(.+?) *$", FENCED.sub("", page.read_text()), re.M):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found[name] = found.get(name, 0) + 1
    return frozenset(
        name if number == 0 else f"{name}-{number}" for name, many in found.items() for number in range(many)
    )


def trouble(page: Path, link: str) -> str | None:
    """What is the matter with a link of a page; None if it leads somewhere."""
    where, _, anchor = link.partition("#")
    target = page.parent / where if where else page
    if not target.exists():
        return f"there is no {where}"
    if anchor and anchor not in anchors(target.resolve()):
        return f"{where or page.name} has no heading {anchor}"
    return None


def test_anchors_are_those_of_the_headings(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# A `word`, and "another one"\n\n```bash\n# no heading\n```\n\n## Limits\n\n## Limits\n\n### [Linked](x.md)\n'
    )
    assert anchors(page) == {"a-word-and-another-one", "limits", "limits-1", "linked"}
    assert trouble(page, "#limits-1") is None
    assert trouble(page, "page.md#linked") is None
    assert trouble(page, "page.md#no-heading") is not None
    assert trouble(page, "other.md") is not None


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: str) -> None:
    text = re.sub(r"`[^`]*`", "", FENCED.sub("", (ROOT / page).read_text()))
    links = [link for link in LINK.findall(text) if not OUTSIDE.match(link)]
    assert {link: why for link in links if (why := trouble(ROOT / page, link)) is not None} == {}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = {name for name in FILE.findall((ROOT / page).read_text()) if name not in ELSEWHERE}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_page_that_code_or_a_manifest_names_is_there() -> None:
    files = [ROOT / "Makefile", ROOT / "Dockerfile", *(each for each in ROOT.iterdir() if each.suffix in WRITTEN_IN)]
    for folder in SAYING:
        files += [each for each in sorted((ROOT / folder).rglob("*")) if each.suffix in WRITTEN_IN]
    decisions = {path.name[:4] for path in (ROOT / "docs" / "decisions").iterdir()}
    wrong, found = {}, 0
    for path in files:
        text = path.read_text(errors="replace")
        for name, anchor in NAMED.findall(text):
            found += 1
            if (why := trouble(ROOT / "README.md", f"{name}#{anchor}" if anchor else name)) is not None:
                wrong[str(path.relative_to(ROOT)), name] = why
        for number in DECISION.findall(text):
            if number not in decisions:
                wrong[str(path.relative_to(ROOT)), number] = "there is no such decision"
    assert wrong == {}
    assert found > 100


def test_every_page_can_be_reached_from_the_readme() -> None:
    left = [(ROOT / "README.md").resolve()]
    reached = set(left)
    while left:
        page = left.pop()
        for link in LINK.findall(page.read_text()):
            if OUTSIDE.match(link) or link.startswith("#"):
                continue
            target = (page.parent / link.partition("#")[0]).resolve()
            pages = sorted(target.glob("*.md")) if target.is_dir() else [target]
            for each in pages:
                if each.suffix == ".md" and each not in reached:
                    reached.add(each)
                    left.append(each)
    assert {page for page in PAGES if page.startswith("docs/") and (ROOT / page).resolve() not in reached} == set()
