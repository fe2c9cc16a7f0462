"""Ask or act: how intake's rules read requests that people wrote, against what a good colleague would do.

With `ANTHROPIC_API_KEY` set, the same once more with the model's advice where the rules are not sure.
"""

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(_ROOT), str(_ROOT / "src")]

from bench.measuring import Figure, Machine  # noqa: E402 - found only by the path above
from greylag.adapters.models.gateway import LocalGateway  # noqa: E402 - the same
from greylag.adapters.models.port import RunGrant, TurnReceipt  # noqa: E402 - the same
from greylag.app.install.clock import SystemClock  # noqa: E402 - the same
from greylag.app.install.models import Models, choose_models  # noqa: E402 - the same
from greylag.app.settings import load_settings  # noqa: E402 - the same
from greylag.delivery.intake.advising import advice_in, advice_request, unsure, with_advice  # noqa: E402 - the same
from greylag.delivery.intake.places import Known  # noqa: E402 - the same
from greylag.delivery.intake.reading import Reading, Said, read, said_in  # noqa: E402 - the same
from greylag.domain.errors import GreylagError  # noqa: E402 - the same
from greylag.domain.labels import Label  # noqa: E402 - the same
from greylag.egress.door import Door  # noqa: E402 - the same
from tests.support.permits import MemoryLedger, PermissivePolicy  # noqa: E402 - the same
from tests.support.sight import PlainSight  # noqa: E402 - the same

_DATA = _ROOT / "bench" / "data"
HALVES = ("tune", "held")
_ADVICE_SECONDS = 20.0
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


Adviser = Callable[[Said, Reading, Sequence[Known]], Reading]


def outcomes(half: str, advise: Adviser | None = None) -> list[Outcome]:
    """Read every request of ``half``, by the rules alone or with somebody to ``advise`` them."""
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
        meant = [known[name] for name in record["repositories"]]
        reading = read(said, meant)
        if advise is not None:
            reading = advise(said, reading, meant)
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
    print(with_model())
    return figures


def with_model() -> str:
    """Return how both halves come out with a real model's advice; one line where none is reachable."""
    with tempfile.TemporaryDirectory(prefix="glasking-") as folder:
        settings = load_settings(Path(folder))
        if not settings.anthropic_api_key.get_secret_value():
            return "rules and model: not measured, because no model is reachable (`ANTHROPIC_API_KEY` is not set)"
        models = choose_models(settings, SystemClock())
        return asyncio.run(_with_model(models, Path(folder)))


async def _with_model(models: Models, folder: Path) -> str:
    clock, bill, failed = SystemClock(), [0], [0]
    # The requests are this repository's own test data; where a platform asks, its policy decides.
    door = Door(PermissivePolicy(), MemoryLedger(), clock, "bench")
    gateway = LocalGateway(models.upstreams, door, clock, folder, sight=PlainSight())
    loop = asyncio.get_running_loop()

    async def keep(receipt: TurnReceipt) -> None:
        bill[0] += receipt.cost_usd_micros

    async def asked(said: Said, reading: Reading, known: Sequence[Known]) -> Reading:
        grant = RunGrant(
            "task_bench", "run_bench", "bench", models.endpoint, Label("public"), 1_000_000, 0, 1, on_turn=keep
        )
        try:
            async with asyncio.timeout(_ADVICE_SECONDS):
                body = advice_request(models.model, said.own, reading, known)
                found = advice_in(await gateway.complete(grant, body), reading.candidates)
        except (GreylagError, TimeoutError):
            found = None
        failed[0] += found is None
        return with_advice(reading, found) if found is not None else reading

    def advise(said: Said, reading: Reading, known: Sequence[Known]) -> Reading:
        due = bool(said.own.strip()) and unsure(reading)
        return _waited(asked(said, reading, known), loop) if due else reading

    try:
        told_halves = [told(half, await asyncio.to_thread(outcomes, half, advise)) for half in HALVES]
    finally:
        await gateway.shutdown()
    cost = f"{bill[0] / 1e6:.4f} USD, {failed[0]} answers of no use"
    return "\n".join([f"rules and model (`{models.model}`, {cost}):", *told_halves])


def _waited(reading: Coroutine[object, object, Reading], loop: asyncio.AbstractEventLoop) -> Reading:
    return asyncio.run_coroutine_threadsafe(reading, loop).result()


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
    print(with_model())
    return 0


if __name__ == "__main__":
    sys.exit(main())
