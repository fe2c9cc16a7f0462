"""What stands in the repository makes sense to anybody who clones it, and its links lead somewhere."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.source import ROOT

SELF = Path(__file__).resolve()
#: Folders of the machine somebody worked on, and package indexes that only they can reach.
FORBIDDEN = re.compile(
    r"(?<![\w.$}/-])/(work/|home/(?!agent/)\w+/|Users/\w+/|opt/(pypi|wheels))"
    r"|https?://[\w.-]*(\.internal|\.corp|\.lan|pkg\.dev|jfrog\.io|nexus\.|artifactory)\b",
    re.IGNORECASE,
)
#: File: what in it may look like that, and why.
ALLOWED = {
    # Places of other people's machines in examples, and where sandboxes put things.
}
TEXT = {"", ".cedar", ".cedarschema", ".cfg", ".css", ".html", ".js", ".json", ".md", ".py", ".toml", ".txt", ".lock"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)


@cache
def tracked() -> tuple[Path, ...]:
    """Return every file of the repository that is text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True, timeout=30,
    ).stdout  # fmt: skip
    files = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return tuple(file for file in files if file.suffix in TEXT and file.is_file() and file != SELF)


def test_nothing_names_one_machine() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in tracked()
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]
    assert found == []


def documents() -> list[Path]:
    """Return every page of Markdown."""
    return [file for file in tracked() if file.suffix == ".md"]


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in LINK.findall(text):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(link)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return the anchors a page's headings give, as forges make them."""
    titles = [re.sub(r"[`*_]", "", title).lower() for title in HEADING.findall(page.read_text(encoding="utf-8"))]
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title)).strip("-") for title in titles}


def test_every_page_can_be_found() -> None:
    """From docs/index.md, by links alone."""
    start = ROOT / "docs" / "index.md"
    seen, left = set(), [start]
    while left:
        page = left.pop()
        if page in seen or not page.is_file() or page.suffix != ".md":
            continue
        seen.add(page)
        links = LINK.findall(page.read_text(encoding="utf-8"))
        left += [(page.parent / link.partition("#")[0]).resolve() for link in links if not re.match(r"[a-z]+:", link)]
    assert sorted(page.name for page in documents() if page.is_relative_to(ROOT / "docs") and page not in seen) == []


def test_decisions_are_numbered_without_gaps_and_indexed() -> None:
    folder = ROOT / "docs" / "adr"
    names = sorted(file.name for file in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    index = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"({name})" not in index] == []


@pytest.mark.parametrize("heading", ["Context", "Options", "Decision", "Consequences", "Rules that follow"])
def test_decisions_have_the_same_parts(heading: str) -> None:
    pages = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert [page.name for page in pages if f"\n## {heading}" not in page.read_text(encoding="utf-8")] == []


def test_the_commands_in_the_documents_exist() -> None:
    """Each `greylag noun verb` and `make target` that a page shows is a command of today."""
    reference = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"^## `greylag ?(.*)`$", reference, re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    groups = {command.split()[0] for command in commands if " " in command}
    missing = set()
    for page in documents():
        text = page.read_text(encoding="utf-8")
        for first, second in re.findall(
            r"(?:`|^|\$ |\n)(?:\.venv/bin/)?greylag ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", text
        ):
            command = f"{first} {second}" if first in groups else first
            if first in groups and not second:
                continue
            if command not in commands:
                missing.add(f"{page.relative_to(ROOT)}: greylag {command}")
        missing |= {
            f"{page.relative_to(ROOT)}: make {target}"
            for target in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)
            if target not in targets
        }
    assert sorted(missing) == []
