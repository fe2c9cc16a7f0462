"""Write the transcript of `greylag demo` between the README's markers, or compare it (``--check``, exit code 1).

What differs from run to run is evened out: times go, ids and digests become ``…``. The agent's progress, long details
and the sections in `COUNTED` are counted in place of being shown, and the transcript says so.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"
LONGEST_LINE = 118
SHOWN_DETAILS = 2
COUNTED = ("A repository and its first release", "The service before")
KEPT = re.compile(r"^    (checks|build|digest): ")
TIMEOUT_SECONDS = 600
TIME = re.compile(r"^\d\d:\d\d:\d\d (.) (\w+): ")
CHANGING = (
    (re.compile(r"\b(task|run|chg|bld|rel|dec|apr)_[0-9a-z]{26}"), r"\1_…"),
    (re.compile(r"\bgreylag/[0-9a-z]{26}"), "greylag/…"),
    (re.compile(r"sha256:[0-9a-f]{6,64}…?"), "sha256:…"),
    (re.compile(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{12,64}\b…?"), "…"),
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://127.0.0.1:…"),
    (re.compile(r"/tmp/[\w./-]+"), "/tmp/…"),  # noqa: S108 - words in a transcript
)


def main(arguments: list[str]) -> int:
    """Write or compare the transcript; return the exit code."""
    lines = list(transcript(demo_output()))
    text = README.read_text(encoding="utf-8")
    if arguments == ["--check"]:
        kept = [stable(line) for line in shown_in(text)]
        made = [stable(line) for line in lines]
        for old, new in ((old, new) for old, new in zip(kept, made, strict=False) if old != new):
            print(f"README: {old}\ndemo:   {new}")
        return 0 if kept == made else 1
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    block = "\n".join(["```text", "$ make demo", *lines, "```"])
    README.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")
    return 0


def demo_output() -> str:
    """Run the demo in an empty home and return what it printed. Raises SystemExit where it failed."""
    with tempfile.TemporaryDirectory(prefix="greylag-readme-") as home:
        done = subprocess.run(
            [sys.executable, "-c", "from greylag.app.cli.main import run; run()", "demo"], cwd=ROOT,
            env={**os.environ, "HOME": home, "COLUMNS": "120", "TZ": "UTC", "PYTHONPATH": str(ROOT / "src")},
            capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"the demo failed with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def transcript(output: str) -> Iterator[str]:
    """Yield the lines to show."""
    return shortened(evened(output.splitlines()))


def evened(lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines`` without what differs from run to run."""
    for raw in lines:
        line = TIME.sub(r"\1 \2: ", raw)
        line = re.sub(r"^ {13}", "    ", line)
        for pattern, replacement in CHANGING:
            line = pattern.sub(replacement, line)
        yield line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"


def shortened(lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines`` with what is not the story itself counted in place of being shown."""
    for kind, group in groupby(without(lines), key=kind_of):
        those = list(group)
        if kind == "progress":
            yield f"· [{len(those)} lines of the agent at work]"
        elif kind == "detail":
            yield from cut(those)
        else:
            yield from those


def without(lines: Iterable[str]) -> Iterator[str]:
    """Yield ``lines`` with the sections in `COUNTED` reduced to their headline and a count."""
    hidden, inside = 0, False
    for line in lines:
        if line.startswith("── "):
            if inside:
                yield f"  [{hidden} lines]"
                yield ""
            hidden, inside = 0, line.removeprefix("── ") in COUNTED
            yield line
        elif inside:
            hidden += bool(line)
        else:
            yield line


def kind_of(line: str) -> str:
    """Return what a line is: ``progress``, ``detail`` (under a message), or ``said``."""
    return "progress" if line.startswith("· ") else "detail" if line.startswith("    ") else "said"


def cut(detail: list[str]) -> Iterator[str]:
    """Yield the first lines of ``detail`` and those that matter, and say how many more there are."""
    kept = [line for number, line in enumerate(detail) if number < SHOWN_DETAILS or KEPT.match(line)]
    yield from kept
    if len(kept) < len(detail):
        yield f"    [{len(detail) - len(kept)} lines more]"


def shown_in(readme: str) -> list[str]:
    """Return the transcript that stands between the markers."""
    block = readme.partition(BEGIN)[2].partition(END)[0]
    return [line for line in block.strip("\n").splitlines() if not line.startswith(("```", "$ make demo"))]


def stable(line: str) -> str:
    """Return ``line`` with its numbers evened out, as counts and seconds may differ a little."""
    return re.sub(r"\d+(\.\d+)*", "#", line).rstrip()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
