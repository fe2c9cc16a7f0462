"""Start-up: `greylag --help` beside the bare interpreter, and beside importing the command line's library alone."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.measuring import Figure, Machine, rounds

_HELP_SECONDS = 0.3
_SOURCE = str(Path(__file__).parents[1] / "src")


def measure(machine: Machine, quick: bool) -> list[Figure]:
    program = Path(sys.executable).with_name("greylag")
    run = [str(program)] if program.exists() else [sys.executable, "-c", "from greylag.app.cli.main import run; run()"]
    taken = rounds(
        machine,
        5 if quick else 21,
        {
            "help": _started([*run, "--help"]),
            "version": _started([*run, "--version"]),
            "typer": _started([sys.executable, "-c", "import typer"]),
            "pass": _started([sys.executable, "-c", "pass"]),
        },
    )
    return [
        Figure("greylag --help", "s", taken["help"], "python -c pass", taken["pass"], _HELP_SECONDS),
        Figure("greylag --help", "s", taken["help"], "import typer", taken["typer"]),
        Figure("greylag --version", "s", taken["version"], "python -c pass", taken["pass"]),
    ]


def _started(command: list[str]) -> Callable[[], None]:
    def start() -> None:
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd="/",
            env={"PYTHONPATH": _SOURCE, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        )  # fmt: skip

    return start
