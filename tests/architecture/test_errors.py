"""Every error code means one thing, says what to do next, and stands in the reference, which holds nothing else."""

import re
from pathlib import Path

import errors_doc

from tests.support.source import ROOT, modules

CODE = re.compile(r"GL-[A-Z]+-\d{3}")
SITES = errors_doc.sites()
RAISED = {site.code for site in SITES}
AREAS = {code.split("-")[1] for code in RAISED}
#: Code: why it is made in more than one package or as more than one family.
SHARED = {
    "GL-AGENT-002": "the agent that was asked for can't work here: nobody knows it, or it has no endpoint",
    "GL-AGENT-003": "an agent without the program it needs, found when asked or when begun",
    "GL-APPROVE-003": "an approval of something else than is up, found by the form or by the desk",
    "GL-DEPLOY-004": "no port to listen on: the one that was named, or any",
    "GL-FORGE-009": "the branch has moved on, found by the forge or before it is asked",
    "GL-INTAKE-004": "an attachment that can't go into a prompt, found by the command line or by the desk",
    "GL-LEDGER-001": "what can't stand in a ledger entry",
    "GL-LEDGER-004": "a proof that does not hold, or can't be made from what is stored",
    "GL-PERSON-001": "there is no such person, found by the directory or when somebody signs in",
    "GL-TASK-001": "no task of that id, found by the command line or by the store",
    "GL-TASK-006": "a task has no such content, found by the command line or by the desk",
    "GL-WHATIF-004": "a drill that can't be applied, found before its world is made or by making it",
    "GL-STATE-001": "a step the table does not list, the first one too",
}


def test_the_reference_is_what_the_code_says() -> None:
    assert errors_doc.document(SITES) == errors_doc.TARGET.read_text(), "run `make docs`"


def test_every_code_that_is_mentioned_is_made_somewhere() -> None:
    """In docstrings, in tests and in documents too."""
    places = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    lost = {
        f"{file.relative_to(ROOT)}: {code}"
        for file in places
        if file != Path(__file__)
        for code in CODE.findall(file.read_text(encoding="utf-8"))
        if code not in RAISED and code.split("-")[1] in AREAS  # tests of the machinery make up areas
    }
    assert sorted(lost) == []


def test_a_code_belongs_to_one_package_and_family() -> None:
    """Two meanings of one code would send its reader to the wrong remedy."""
    owners: dict[str, set[tuple[str, str]]] = {}
    for site in SITES:
        package = ".".join(site.module.split(".")[:3]) if ".adapters." in site.module else site.module.split(".")[1]
        if site.family != "finding":
            owners.setdefault(site.code, set()).add((package, site.family))
    assert {code for code, those in owners.items() if len(those) > 1} == set(SHARED), owners


def test_a_remedy_is_a_next_step() -> None:
    """A sentence that can be done; what is computed (empty here) is seen by the tests of its module."""
    curt = [site for site in SITES if site.remedy and "…" not in site.remedy and len(site.remedy.split()) < 2]
    assert curt == []


def test_codes_are_written_out_or_made_by_one_maker() -> None:
    """A code put together in any other way could not be found by who reads it in a log."""
    pieces = [
        f"{module.name}:{number}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), 1)
        if re.search(r"GL-\{|GL-[A-Z]*\{|[\"']GL-[\"']", line)
    ]
    assert pieces == []
