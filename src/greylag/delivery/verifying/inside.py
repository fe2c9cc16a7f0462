"""Runs inside the sandbox: pytest, with a report on the real standard output. Never imported by the platform.

The text of this file is given to the sandbox's own Python, so it uses the standard library and pytest alone. The first
line of standard input is a word that goes back with the report: code under test that merely exits, prints or writes
files can't make up a report, because it was never told the word.
"""

import sys

if __name__ == "__main__":
    # Before anything else is imported: no file of the repository may stand in for a module of Python or for pytest.
    sys.path[:] = [path for path in sys.path if path]

import json
import os
from typing import Any

_FAILURES = 20
_LINES = 12
_WIDTH = 400


class Recorder:
    """Counts outcomes as pytest reports them and keeps the lines that say why a test failed."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("passed", "failed", "errors", "skipped", "xfailed", "xpassed"), 0)
        self.failures: list[dict[str, object]] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count one phase of one test (a hook of pytest)."""
        outcome = self._outcome(report)
        if outcome:
            self.counts[outcome] += 1
        if outcome in ("failed", "errors"):
            self._keep(report)

    def pytest_collectreport(self, report: Any) -> None:
        """Count a file that can't be collected (a hook of pytest)."""
        if report.failed:
            self.counts["errors"] += 1
            self._keep(report)

    def _outcome(self, report: Any) -> str:
        called = report.when == "call"
        if hasattr(report, "wasxfail"):
            return "xfailed" if report.skipped else "xpassed" if report.passed and called else ""
        if report.failed:
            return "failed" if called else "errors"
        return "skipped" if report.skipped else "passed" if called else ""

    def _keep(self, report: Any) -> None:
        if len(self.failures) < _FAILURES:
            said = [line[:_WIDTH] for line in str(report.longreprtext).splitlines() if line.strip()]
            why = [line for line in said if line.startswith("E ") or line[:1] not in (" ", "E", "_", "=")]
            self.failures.append({"test": str(report.nodeid)[:_WIDTH], "lines": (why or said)[-_LINES:]})


def main() -> None:
    """Run pytest over the working directory with the given arguments; report; exit as pytest would."""
    word, process = sys.stdin.readline().strip(), os.getpid()
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever tests print is no report
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    recorder = Recorder()
    code, missing = run(recorder)
    if os.getpid() != process:  # a test forked and came out on this side
        os._exit(3)
    report = {"word": word, "exit": code, "missing": missing, "failures": recorder.failures, **recorder.counts}
    sys.stdout.flush()
    sys.stderr.flush()
    text = f"\n{json.dumps(report)}\n".encode()
    while text:
        text = text[os.write(answer, text) :]
    os._exit(code)  # threads that tests left running don't hold it up


def run(recorder: Recorder) -> tuple[int, str]:
    """Run pytest and return its exit code and what is missing to run it."""
    here = os.getcwd()
    try:
        import pytest  # noqa: PLC0415 -- its absence is something to report
    except ImportError:
        return 3, "pytest"
    source = os.path.join(here, "src")
    # As `python -m pytest` would, but after pytest itself was found.
    sys.path[:0] = [here, source] if os.path.isdir(source) else [here]
    options = ["-q", "-rfE", "--tb=short", "--color=no", "-p", "no:cacheprovider", *sys.argv[1:]]
    return int(pytest.main(options, plugins=[recorder])), ""


if __name__ == "__main__":
    main()
