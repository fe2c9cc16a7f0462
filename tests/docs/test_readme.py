"""The README's first screen is what `make demo` prints, and the demo itself shows what the README says."""

from pathlib import Path

import pytest
import readme

ROOT = Path(__file__).resolve().parents[2]
CLAUDE = ROOT / ".tools" / "claude" / "claude"


@pytest.fixture(scope="module")
def output() -> str:
    if not CLAUDE.is_file():
        pytest.skip("Claude Code is not here; fetch it: python scripts/fetch_claude.py")
    return readme.demo_output()


def test_the_transcript_is_what_the_demo_prints(output: str) -> None:
    kept = [readme.stable(line) for line in readme.shown_in(readme.README.read_text(encoding="utf-8"))]
    made = [readme.stable(line) for line in readme.transcript(output)]
    assert made == kept, "run `make readme`"


def test_the_demo_shows_that_who_asked_cannot_approve(output: str) -> None:
    section = output.partition("Who asked can't approve")[2].partition("── ")[0]
    assert "GL-PERSON-002" in section or "GL-APPROVE-001" in section


def test_the_demo_says_that_the_model_is_scripted(output: str) -> None:
    assert "scripted model — no real model was called" in output


def test_the_demo_finds_one_changed_byte(output: str) -> None:
    assert "NOT INTACT" in output


@pytest.mark.parametrize(
    ("raw", "even"),
    [
        ("15:07:14 · greylag: reads src/a.py", "· greylag: reads src/a.py"),
        ("             digest: sha256:" + "0f" * 32, "    digest: sha256:…"),
        ("task_01m84f4426a94700fkgtcm2n1j", "task_…"),
        ("Merged into main: 4fabbb3c940d.", "Merged into main: …."),
        ("  POST /queues/ana/skip", "  POST /queues/ana/skip"),
    ],
)  # fmt: skip
def test_what_changes_from_run_to_run_is_evened_out(raw: str, even: str) -> None:
    assert list(readme.evened([raw])) == [even]


def test_what_is_left_out_is_counted() -> None:
    lines = ["── The service before", "  GET /", "      → 200", "", "── Next", "· one", "· two", "said"]
    assert list(readme.shortened(lines)) == [
        "── The service before",
        "  [2 lines]",
        "",
        "── Next",
        "· [2 lines of the agent at work]",
        "said",
    ]
