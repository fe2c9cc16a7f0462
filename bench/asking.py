"""Ask or act: how intake's rules read requests that people wrote, against what a good colleague would do."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(_ROOT), str(_ROOT / "src")]

from bench.measuring import Figure, Machine  # noqa: E402 - found only by the path above
from greylag.delivery.intake.places import Known  # noqa: E402 - the same
from greylag.delivery.intake.reading import read, said_in  # noqa: E402 - the same

_DATA = _ROOT / "bench" / "data"
HALVES = ("tune", "held")
ASKS = ("none", "repository", "wording")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request: what it was labelled with and what the rules said, each as (intent, repository, ask)."""

    text: str
    labelled: tuple[str, str, str]
    read: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Score:
    """How a half did; shares are 0 … 1. Asking counts as found only where the right thing is asked for."""

    requests: int
    precision: float
    recall: float
    intents: float
    repositories: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall of asking."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def outcomes(half: str) -> list[Outcome]:
    """Read every request of ``half``."""
    known = {
        name: Known(name, tuple(about["keywords"]), tuple(about["paths"]))
        for name, about in json.loads((_DATA / "repositories.json").read_text(encoding="utf-8")).items()
    }
    found = []
    for line in (_DATA / "requests.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["half"] != half:
            continue
        said = said_in(record["text"], supplied=bool(record.get("context") or record.get("attached")))
        reading = read(said, [known[name] for name in record["repositories"]])
        asked = reading.missing[0] if reading.missing else "none"
        labelled = (record["intent"], record["repository"] or "", record["ask"])
        found.append(Outcome(record["text"], labelled, (reading.intent, reading.repository or "", asked)))
    return found


def score(every: Sequence[Outcome]) -> Score:
    """Add up ``every`` outcome."""
    asked = [each for each in every if each.read[2] != "none"]
    due = [each for each in every if each.labelled[2] != "none"]
    right = sum(each.read[2] == each.labelled[2] for each in asked)
    return Score(
        len(every), right / len(asked) if asked else 1.0, right / len(due) if due else 1.0,
        _share(each.read[0] == each.labelled[0] for each in every),
        _share(each.read[1] == each.labelled[1] for each in every),
    )  # fmt: skip


def measure_asking(machine: Machine, quick: bool) -> list[Figure]:
    """Print both halves with their confusion matrices; figures are shares of the half that no rule was tuned on."""
    figures = []
    machine.look()
    for half in HALVES:
        every = outcomes(half)
        print(told(half, every))
        made = score(every)
        for name, value in (
            ("asking, F1", made.f1), ("intent", made.intents), ("repository", made.repositories)
        ):  # fmt: skip
            note = f"{made.requests} requests"
            figures.append(Figure(f"{name} ({half})", "%", (100 * value,) * 2, "none", (0.0,) * 2, note=note))
    return figures


def told(half: str, every: Sequence[Outcome]) -> str:
    """Return score and confusion matrices of one half for people."""
    made = score(every)
    lines = [
        f"requests, half `{half}`: {made.requests}",
        f"  ask or act: precision {made.precision:.1%}, recall {made.recall:.1%}, F1 {made.f1:.1%}",
        f"  intent {made.intents:.1%}, repository {made.repositories:.1%}",
    ]
    for what, column in (("asked", 2), ("intent", 0)):
        lines += _matrix(what, Counter((each.labelled[column], each.read[column]) for each in every))
    wrong = Counter(
        "none named" if not each.read[1] else "named where none was due" if not each.labelled[1] else "another"
        for each in every if each.read[1] != each.labelled[1]
    )  # fmt: skip
    right = made.requests - sum(wrong.values())
    lines.append("  repository: " + ", ".join([f"right {right}", *(f"{kind} {n}" for kind, n in wrong.items())]))
    return "\n".join(lines)


def _matrix(what: str, pairs: Counter[tuple[str, str]]) -> list[str]:
    kinds = sorted({kind for pair in pairs for kind in pair})
    width = max(len(kind) for kind in kinds) + 2
    head = f"  {what + ': labelled down, read across':38}" + "".join(kind.rjust(width) for kind in kinds)
    return [
        head,
        *(f"  {due:38}" + "".join(str(pairs[due, got] or ".").rjust(width) for got in kinds) for due in kinds),
    ]


def _share(rights: Iterable[bool]) -> float:
    every = list(rights)
    return sum(every) / len(every) if every else 1.0


def main() -> int:
    for half in HALVES:
        every = outcomes(half)
        print(told(half, every))
        if "--wrong" in sys.argv and half == "tune":  # the held half stays unread, or it would be tuned on
            for each in every:
                if each.labelled != each.read:
                    print(f"    {each.labelled} read as {each.read}: {each.text[:110]!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
