"""A published package with an old bug of it put back, mended by a program and judged by the package's own tests."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greylag.app.audit import decisions_of
from greylag.app.client.console import RemoteRefusal
from greylag.app.demo.showing import Demo, show_evidence
from greylag.app.install.clock import SystemClock
from greylag.app.install.law.lawbook import read_book
from greylag.app.install.law.openings import open_target
from greylag.app.install.shipped import shipped
from greylag.app.settings import Settings
from greylag.domain.errors import OperatorError, RequestRefused
from greylag.domain.stages import Stage
from greylag.governance.facts import Basis, Opening

#: Where the demo's install says it stands; and the one target outside that it opens.
JURISDICTION = "DE"
REGISTRY = ("host", "host:package-registry")

_FOLDER = ("examples", "real")
_ABSENT = frozenset({Stage.PROMPT, Stage.TOOL, Stage.DEPLOY})  # no model, no tool of an agent, no environment
_UNREACHED = ("GL-EGRESS-", "GL-REGISTRY-002", "GL-REGISTRY-003", "GL-REGISTRY-005")


@dataclass(frozen=True, slots=True)
class RealPackage:
    """What is shown: the repository's settings, the bug in words, the test that finds it, the file that has it.

    ``program`` is the text of the agent's Python program.
    """

    settings: dict[str, Any]
    bug: str
    test: str
    file: str
    program: str

    @property
    def name(self) -> str:
        """What the repository is called."""
        return str(self.settings["name"])


def real_package() -> RealPackage:
    """Return the shipped description of the real package; the package itself is fetched, never shipped."""
    text = tomllib.loads(shipped(*_FOLDER, "h11.toml").read_text())
    shown = text.pop("shown")
    patch = shipped(*_FOLDER, shown["patch"]).read_text()
    program = shipped(*_FOLDER, shown["program"]).read_text()
    return RealPackage({**text, "patch": patch}, shown["bug"], shown["test"], shown["file"], program)


def open_registry(home: Path, settings: Settings, say: Callable[[str], None]) -> None:
    """Open the package registry of the demo's own install for public data, as its operator would, and say so."""
    today = SystemClock().now().date()
    basis = Basis("`greylag demo --real`", today, "in_force", "O", note="the demo fetches one published package")
    kind, name = REGISTRY
    try:
        open_target(home, read_book(settings, home, (), today), Opening(kind, name, "public", basis))
    except RequestRefused as error:
        if error.code != "GL-OPENING-003":  # a home that was kept has it open already
            raise
    say(
        f"This install is the demo's own. Its operator was told that it stands in {settings.region.jurisdiction} (made"
        f" up), and opened {name} for public data: without either nothing leaves."
    )


def show_real_package(demo: Demo) -> None:
    """Show the whole way of a fix on it. Raises OperatorError ``GL-DEMO-004`` where it can't be had."""
    package = real_package()
    _fetch(demo, package)
    _show_gate(demo, package)
    demo.headline("The bug, told in a sentence, and a program as the agent")
    task = demo.ask(package.bug, ("python3", "-c", package.program))
    demo.must("in_review", task["status"] == "in_review", "the mended package passes its own tests")
    demo.must("one_file", task["files"] == [package.file], f"the program changed `{package.file}` and nothing else")
    demo.tell("\n".join(f"  {line}" for line in demo.read(task, "diff").decode("utf-8", "replace").splitlines()))
    demo.headline("Somebody else approves exactly this")
    approved = task["subject"]
    task = demo.approve(task)
    demo.must("merged", task["status"] == "merged", "the approved change is merged")
    demo.must("same_digest", task["subject"] == approved != "", "what was approved is what was merged")
    _show_release(demo, package)
    show_evidence(demo, task, set(Stage) - _ABSENT)


def _fetch(demo: Demo, package: RealPackage) -> None:
    demo.headline("A published package, with an old bug of it put back")
    source = package.settings["source"]
    try:
        demo.session.post("/repositories", package.settings)
    except RemoteRefusal as error:
        if not error.code.startswith(_UNREACHED):
            raise
        raise OperatorError(
            "GL-DEMO-004",
            f"`{source}` can't be fetched: {error.message} ({error.code})",
            f"{error.remedy} `PIP_INDEX_URL`, `HTTPS_PROXY` and `SSL_CERT_FILE` are honoured; `greylag demo` needs no"
            " registry.",
        ) from error
    fetched = [each for each in decisions_of(demo.home, "") if each["stage"] == Stage.TOOL]
    demo.tell(f"  fetched {source}")
    demo.tell(f"  decided: {fetched[0]['decision_id']} permits it" if fetched else "  nothing was decided")
    decided = len(fetched) == 1 and fetched[0]["permitted"] and fetched[0]["target"]["kind"] == "host"
    demo.must("fetched_by_decision", decided, "the package was fetched by a decision on record")


def _show_gate(demo: Demo, package: RealPackage) -> None:
    demo.headline("Its own tests don't let it through")
    task = demo.ask(f"release {package.name} as it is")
    report = demo.read(task, "report").decode("utf-8", "replace")
    demo.must("turned_back", task["status"] == "handed_over", "the gate turns back what fails the package's own tests")
    demo.must("bug_found", package.test in report, f"`{package.test}` finds the bug")
    demo.must("nothing_to_approve", not task["subject"], "what failed is not up for approval")
    demo.must("stopped", demo.stop(task)["status"] == "cancelled", "the asker can stop it")


def _show_release(demo: Demo, package: RealPackage) -> None:
    demo.headline("The same wish again: now its own tests let it through")
    task = demo.approve(demo.ask(f"release {package.name} as it is"))
    demo.must("let_through", task["status"] == "merged", "the mended package goes through the gate")
    size = len(demo.read(task, "build"))
    demo.tell(f"  {task['build_name']} {task['build_digest']} ({size} bytes)")
    wheel = task["build_name"].startswith(f"{package.name}-") and task["build_name"].endswith(".whl")
    demo.must("wheel", wheel and size == task["build_size_bytes"], "the package is built as a wheel")
