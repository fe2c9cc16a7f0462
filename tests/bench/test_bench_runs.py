"""The benchmarks run and print what they measured. How fast anything is, is never asserted here."""

import json
import subprocess
import sys
from pathlib import Path

_RUN = Path(__file__).parents[2] / "bench" / "run.py"


def _run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(_RUN), *arguments], capture_output=True, text=True, timeout=240, check=False, cwd="/"
    )


def test_a_quick_run_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = _run("--quick", "--only", "startup,task,sandbox,gateway,asking,mentions", "--json", str(file))
    document = json.loads(file.read_text())
    broken = [figure["name"] for figure in document["figures"] if figure["verdict"] == "broken"]
    assert done.returncode == (1 if broken else 0), done.stderr
    headings = next(line for line in done.stdout.splitlines() if line.startswith("figure"))
    assert headings.split() == ["figure", "median", "beside", "median", "added", "ratio", "promise"]
    names = {figure["name"] for figure in document["figures"]}
    assert {"greylag --help", "whole task", "model call by the gateway"} <= names
    assert "20 mentions, first sign of life, p99" in names
    for figure in document["figures"]:
        assert figure["name"] in done.stdout
        assert len(figure["rounds"]) >= 2
        assert all(value > 0 for value in figure["rounds"])
    beside = {figure["floor"]: figure for figure in document["figures"] if figure["name"] == "whole task"}
    assert set(beside) == {"its parts, bare", "its parts, each in the sandbox"}
    assert document["machine"]["processors"] >= 1


def test_what_there_is_not_is_said(tmp_path: Path) -> None:
    done = _run("--only", "nothing")
    assert done.returncode == 2
    assert "startup" in done.stderr
