"""Runs verifiers in a sandbox without network and judges what came of it.

What a pass proves: the platform started this verifier on this checkout, it ended by itself with exit code 0, and it
said, in a way that code which only exits, prints or writes files can't imitate, that at least one test passed and none
failed. What it can't prove: tests share their process with the code they test, so a change made to deceive can alter
the test runner in memory. Therefore a person sees the diff, with `detection.influential` files named. Verifiers run one
after the other in the same ``workspace``: give each a fresh checkout where an earlier one must not set a later one up.
"""

import asyncio
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from greylag.adapters.sandbox.port import Ended, EndReason, Limits, Mount, Sandbox, SandboxSpec
from greylag.delivery.outputs import cleaned, last_lines
from greylag.delivery.verifying import advice
from greylag.delivery.verifying.counting import count_npm, npm_failures
from greylag.delivery.verifying.detection import Verifier, VerifierKind
from greylag.delivery.verifying.results import TestFailure, VerifierResult, VerifyReport

_INSIDE = Path(__file__).with_name("inside.py")
_LAST_LINES = 12
_REPORT_BYTES = 1024 * 1024
_FAILURES = 20
_COUNTS = ("passed", "failed", "errors", "skipped", "xfailed", "xpassed")
_QUIET_PYTHON = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
_QUIET_NPM = {"CI": "true", "NO_COLOR": "1", "npm_config_offline": "true", "npm_config_update_notifier": "false"}


async def verify(
    sandbox: Sandbox,
    workspace: Path,
    verifiers: Iterable[Verifier],
    limits: Limits,
    mounts: tuple[Mount, ...] = (),
    env: Mapping[str, str] | None = None,
    repository: str = "NAME",
) -> VerifyReport:
    """Run ``verifiers`` on the checkout ``workspace`` (adopted by ``sandbox``) and report.

    ``mounts`` and ``env`` bring the toolchain; ``repository`` is named in remedies. Without verifiers the report says
    ``GL-VERIFY-001``. Raises what `Sandbox.run` raises.
    """
    results = []
    for verifier in verifiers:
        spec = _spec(verifier, workspace, limits, mounts, dict(env or {}))
        word = secrets.token_hex(16)
        ended = await sandbox.run(spec, f"{word}\n".encode() if verifier.kind is VerifierKind.PYTEST else b"")
        # In a thread: what a program printed may take a while to read.
        result = await asyncio.to_thread(_judge, verifier, ended, word, workspace, repository)
        results.append(replace(result, duration_seconds=round(ended.duration_seconds, 3)))
    return VerifyReport(tuple(results) or (_nothing(repository),))


def _nothing(repository: str) -> VerifierResult:
    return advice.failed("verifiers", (), None, advice.no_tests("nothing here can be verified", repository))


def _spec(
    verifier: Verifier, workspace: Path, limits: Limits, mounts: tuple[Mount, ...], env: dict[str, str]
) -> SandboxSpec:
    match verifier.kind:
        case VerifierKind.PYTEST:
            program: tuple[str, ...] = ("python3", "-c", _INSIDE.read_text("utf-8"), *verifier.arguments)
            return SandboxSpec(program, workspace, mounts, {**env, **_QUIET_PYTHON}, limits)
        case VerifierKind.NPM:
            return SandboxSpec(("npm", "test"), workspace, mounts, {**env, **_QUIET_NPM}, limits)
        case VerifierKind.COMMAND:
            return SandboxSpec(verifier.arguments, workspace, mounts, {**env, **_QUIET_PYTHON, "CI": "true"}, limits)


def _judge(verifier: Verifier, ended: Ended, word: str, workspace: Path, repository: str) -> VerifierResult:
    if ended.reason is not EndReason.EXITED or ended.exit_code is None:
        return advice.failed(verifier.name, _shown(verifier), None, advice.out_of_bounds(ended.reason, repository))
    match verifier.kind:
        case VerifierKind.PYTEST:
            return _judge_pytest(verifier, ended, word, workspace, repository)
        case VerifierKind.NPM:
            return _judge_npm(verifier, ended, repository)
        case VerifierKind.COMMAND:
            return _judge_command(verifier, ended, repository)


def _shown(verifier: Verifier) -> tuple[str, ...]:
    match verifier.kind:
        case VerifierKind.PYTEST:
            return ("python3", "-m", "pytest", *verifier.arguments)
        case VerifierKind.NPM:
            return ("npm", "test")
        case VerifierKind.COMMAND:
            return verifier.arguments


def _judge_pytest(verifier: Verifier, ended: Ended, word: str, workspace: Path, repository: str) -> VerifierResult:
    said = _report(ended, word)
    command = _shown(verifier)
    if said is None:
        reason = f"the test run ended early, with exit code {ended.exit_code} and without a report"
        result = advice.failed(verifier.name, command, ended.exit_code, advice.no_evidence(reason))
        return replace(result, failures=_ends(ended))
    counts = {name: _count(said.get(name)) for name in _COUNTS}
    failures = _failures(said.get("failures"))
    bad = counts["failed"] + counts["errors"]
    result = VerifierResult(
        verifier.name, command, ended.exit_code, False, _counted(counts), failures or _ends(ended, bad == 0),
        passed_tests=counts["passed"], failed_tests=bad,
    )  # fmt: skip
    if said.get("exit") != ended.exit_code or (ended.exit_code == 0 and bad):
        what = f"exit code {ended.exit_code}, reported {said.get('exit')!r}, {_counted(counts)}: these contradict"
        return advice.turned(result, advice.no_evidence(what))
    if ended.exit_code == 0 and counts["passed"]:
        return replace(result, passed=True, failures=())
    words = "\n".join(line for failure in failures for line in failure.lines)
    missing = (
        "pytest" if said.get("missing") == "pytest" else advice.missing_requirement(words, ended.stderr, workspace)
    )
    if missing:
        return advice.turned(result, advice.missing(missing, repository))
    if ended.exit_code in (0, 5) or not (bad or counts["passed"] or ended.exit_code == 4):
        return advice.turned(result, advice.no_tests(_counted(counts), repository))
    return advice.turned(result, advice.tests_failed(_counted(counts), ended.exit_code))


def _report(ended: Ended, word: str) -> dict[str, object] | None:
    """Return the one report in ``ended``'s output that carries ``word``; None for none, several, or a broken one."""
    found = []
    for line in ended.stdout.split(b"\n"):
        if not line.startswith(b"{") or len(line) > _REPORT_BYTES:
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and _same(value.get("word"), word):
            found.append(value)
    return found[0] if len(found) == 1 and not ended.truncated else None


def _same(said: object, word: str) -> bool:
    return isinstance(said, str) and hmac.compare_digest(said.encode("utf-8", "replace"), word.encode())


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else 0


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no tests ran"


def _failures(value: object) -> tuple[TestFailure, ...]:
    failures = []
    for one in value[:_FAILURES] if isinstance(value, list) else []:
        if isinstance(one, dict) and isinstance(one.get("test"), str) and isinstance(one.get("lines"), list):
            lines = [cleaned(line).replace("\n", " ") for line in one["lines"][:_LAST_LINES] if isinstance(line, str)]
            failures.append(TestFailure(cleaned(one["test"]).replace("\n", " "), tuple(lines)))
    return tuple(failures)


def _ends(ended: Ended, wanted: bool = True) -> tuple[TestFailure, ...]:
    """Return the last lines of what was printed, for where there is nothing better."""
    lines = last_lines(ended.stderr + b"\n" + ended.stdout if ended.stderr else ended.stdout, _LAST_LINES)
    return (TestFailure("last lines", tuple(lines.split("\n"))),) if lines and wanted else ()


def _judge_npm(verifier: Verifier, ended: Ended, repository: str) -> VerifierResult:
    text = cleaned(ended.stdout) + "\n" + cleaned(ended.stderr)
    passed, failed = count_npm(text)
    result = VerifierResult(
        verifier.name, _shown(verifier), ended.exit_code, False, f"{passed} passed, {failed} failed",
        npm_failures(text) or _ends(ended), passed_tests=passed, failed_tests=failed,
    )  # fmt: skip
    if ended.exit_code == 0 and not failed and passed:
        return replace(result, passed=True, failures=())
    if ended.exit_code == 0 and failed:
        return advice.turned(result, advice.no_evidence(f"exit code 0 with {failed} failed tests: these contradict"))
    if ended.exit_code == 0:
        return advice.turned(result, advice.uncounted(repository))
    if ended.exit_code == 127:
        return advice.turned(result, advice.no_program("npm"))
    return advice.turned(result, advice.tests_failed(result.summary, ended.exit_code))


def _judge_command(verifier: Verifier, ended: Ended, repository: str) -> VerifierResult:
    """An operator's own command is believed by its exit code: the operator chose it, the repository did not."""
    summary = f"exit code {ended.exit_code}"
    result = VerifierResult(verifier.name, verifier.arguments, ended.exit_code, ended.exit_code == 0, summary)
    if result.passed:
        return result
    result = replace(result, failures=_ends(ended))
    if ended.exit_code == 127:
        return advice.turned(result, advice.no_program(verifier.arguments[0]))
    return advice.turned(result, advice.command_failed(ended.exit_code, repository))
