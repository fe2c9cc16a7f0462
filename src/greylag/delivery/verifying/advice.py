"""Why a verifier did not pass, and what to do next: stable codes with their remedies. Reads at most a folder's names.

``GL-VERIFY-001`` no tests; ``002`` something is missing in the toolchain; ``003`` no evidence; ``004`` out of bounds;
``005`` failed.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from greylag.adapters.sandbox.port import EndReason
from greylag.delivery.outputs import cleaned
from greylag.delivery.verifying.results import VerifierResult


@dataclass(frozen=True, slots=True)
class Advice:
    """A code, what is the matter, and the next step."""

    code: str
    summary: str
    remedy: str


def failed(name: str, command: tuple[str, ...], exit_code: int | None, advice: Advice) -> VerifierResult:
    """Return the result of a verifier that did not pass for the reason in ``advice``."""
    return VerifierResult(name, command, exit_code, False, advice.summary, code=advice.code, remedy=advice.remedy)


def turned(result: VerifierResult, advice: Advice) -> VerifierResult:
    """Return ``result`` with ``advice`` as its reason."""
    return replace(result, passed=False, summary=advice.summary, code=advice.code, remedy=advice.remedy)


def no_tests(what: str, repository: str) -> Advice:
    """Nothing was proved."""
    summary = f"no test passed ({what})"
    return Advice(
        "GL-VERIFY-001",
        summary,
        "add a test that fails without the change (for pytest: a function `test_…` in `tests/test_….py`), or name the"
        f" command that checks this repository: `greylag repo set {repository} --verify COMMAND`.",
    )


def missing(requirement: str, repository: str) -> Advice:
    """A Python package is not in the toolchain."""
    return Advice(
        "GL-VERIFY-002",
        f"the package `{requirement}` is missing in the sandbox",
        f"`greylag repo set {repository} --requirement {requirement}` puts it into this repository's toolchain.",
    )


def no_program(program: str) -> Advice:
    """The program itself is not there."""
    shown = cleaned(program).replace("\n", " ")[:100]
    return Advice(
        "GL-VERIFY-002",
        f"the program `{shown}` is missing in the sandbox",
        "install it where sandboxes see it (`greylag doctor` shows the toolchain), or verify with another command.",
    )


def no_evidence(what: str) -> Advice:
    """It may have ended well, but there is nothing to believe that by."""
    return Advice(
        "GL-VERIFY-003",
        what,
        "look for what ends the process (`os._exit`, `sys.exit`, a crash) or changes the outcome while tests run, and"
        " remove it.",
    )


def uncounted(repository: str) -> Advice:
    """`npm test` said nothing that can be counted."""
    return Advice(
        "GL-VERIFY-003",
        "exit code 0, but no test runner said that a test passed",
        "let `npm test` run `node --test`, jest, vitest, mocha, ava or tape with their usual output, or name a command"
        f" whose exit code you trust: `greylag repo set {repository} --verify COMMAND`.",
    )


_BOUNDS = {
    EndReason.TIMED_OUT: "took too long",
    EndReason.MEMORY: "used too much memory",
    EndReason.DISK: "wrote too much to disk",
    EndReason.OUTPUT: "printed too much",
}


def out_of_bounds(reason: EndReason, repository: str) -> Advice:
    """The platform ended it."""
    return Advice(
        "GL-VERIFY-004",
        f"the verifier {_BOUNDS.get(reason, 'was ended')} and was stopped",
        f"make the tests smaller, or verify with a narrower command: `greylag repo set {repository} --verify COMMAND`.",
    )


def tests_failed(counts: str, exit_code: int | None) -> Advice:
    """Tests ran and did not all pass."""
    return Advice(
        "GL-VERIFY-005", f"{counts} (exit code {exit_code})", "mend what the lines above say, and verify again."
    )


def command_failed(exit_code: int | None, repository: str) -> Advice:
    """An operator's command said no."""
    return Advice(
        "GL-VERIFY-005",
        f"exit code {exit_code}",
        f"mend what the lines above say; the command is this repository's own (`greylag repo show {repository}`).",
    )


_MODULE = re.compile(r"ModuleNotFoundError: No module named '([A-Za-z_][A-Za-z0-9_.]{0,99})'")
_UNKNOWN_OPTION = re.compile(r"unrecognized arguments: (--?[A-Za-z][A-Za-z-]*)")
_MISSING_PLUGIN = re.compile(r"[Mm]issing required plugins: ([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_OPTION_OF = {
    "--cov": "pytest-cov", "--timeout": "pytest-timeout", "--asyncio-mode": "pytest-asyncio", "-n": "pytest-xdist",
    "--numprocesses": "pytest-xdist", "--benchmark": "pytest-benchmark", "--randomly": "pytest-randomly",
    "--snapshot": "syrupy", "--reruns": "pytest-rerunfailures", "--mypy": "pytest-mypy",
}  # fmt: skip
_REQUIREMENT_OF = {
    "yaml": "pyyaml", "PIL": "pillow", "cv2": "opencv-python-headless", "sklearn": "scikit-learn",
    "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "dotenv": "python-dotenv", "jwt": "pyjwt",
    "multipart": "python-multipart",
    "google.protobuf": "protobuf", "attr": "attrs",
    "serial": "pyserial", "Crypto": "pycryptodome", "git": "gitpython",
}  # fmt: skip
_STDERR_BYTES = 64 * 1024


def missing_requirement(words: str, stderr: bytes, workspace: Path) -> str:
    """Return the requirement that would bring what Python did not find; empty where that can't be told.

    A module that lies in the repository itself is no requirement: then the path is wrong, not the toolchain.
    """
    text = words + "\n" + cleaned(stderr[-_STDERR_BYTES:])
    if found := _MODULE.search(text):
        module = found[1]
        top = module.split(".")[0]
        if any(os.path.lexists(workspace / place) for place in (top, f"{top}.py", f"src/{top}", f"src/{top}.py")):
            return ""
        return _REQUIREMENT_OF.get(module, _REQUIREMENT_OF.get(top, top.replace("_", "-")))
    if found := _MISSING_PLUGIN.search(text):
        return found[1]
    if found := _UNKNOWN_OPTION.search(text):
        return next((name for option, name in _OPTION_OF.items() if found[1].startswith(option)), "")
    return ""
