"""What verifiers found, in the few words that an agent or a person needs."""

from dataclasses import dataclass

_SHOWN_FAILURES = 10
_TEXT_CHARACTERS = 6000


@dataclass(frozen=True, slots=True)
class TestFailure:
    """One test that failed: its id and the lines that say why, cleaned and cut."""

    __test__ = False  # not a test, whatever its name makes pytest think

    test: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifierResult:
    """One verifier's outcome. ``exit_code`` is None where the platform ended it.

    ``code`` (empty when passed) is a ``GL-VERIFY-NNN``, ``remedy`` the next step. ``passed_tests`` and
    ``failed_tests`` are 0 where the verifier counts nothing.
    """

    name: str
    command: tuple[str, ...]
    exit_code: int | None
    passed: bool
    summary: str
    failures: tuple[TestFailure, ...] = ()
    passed_tests: int = 0
    failed_tests: int = 0
    code: str = ""
    remedy: str = ""
    duration_seconds: float = 0.0

    def record(self) -> dict[str, object]:
        """Return the outcome as plain JSON values, for evidence; fields are only ever added."""
        return {
            "schema_version": 1, "name": self.name, "command": list(self.command), "exit_code": self.exit_code,
            "passed": self.passed, "summary": self.summary, "passed_tests": self.passed_tests,
            "failed_tests": self.failed_tests, "code": self.code, "remedy": self.remedy,
            "duration_seconds": self.duration_seconds,
            "failures": [{"test": failure.test, "lines": list(failure.lines)} for failure in self.failures],
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return the outcome as lines of plain text."""
        lines = [f"{'PASSED' if self.passed else 'FAILED'} {self.name}: {self.summary}"]
        for failure in self.failures[:_SHOWN_FAILURES]:
            lines.append(f"  {failure.test}")
            lines += [f"    {line}" for line in failure.lines]
        if len(self.failures) > _SHOWN_FAILURES:
            lines.append(f"  … and {len(self.failures) - _SHOWN_FAILURES} more")
        if not self.passed:
            lines.append(f"  {self.code}. Next: {self.remedy}")
        return lines


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What all verifiers found. Passed means: there was at least one, and each of them passed."""

    results: tuple[VerifierResult, ...]

    @property
    def passed(self) -> bool:
        """Whether the change is proved as far as these verifiers go; nothing run is nothing proved."""
        return bool(self.results) and all(result.passed for result in self.results)

    @property
    def summary(self) -> str:
        """One line over all verifiers."""
        return "; ".join(f"{result.name}: {result.summary}" for result in self.results)

    def text(self) -> str:
        """Return everything worth reading as plain text of at most 6,000 characters."""
        text = "\n".join(line for result in self.results for line in result.lines())
        return text if len(text) <= _TEXT_CHARACTERS else text[: _TEXT_CHARACTERS - 14].rstrip() + "\n… (cut short)"
