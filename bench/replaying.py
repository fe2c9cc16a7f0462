"""What another world costs: recorded decisions asked again, and one decision that nobody has asked before."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import cedarpy
import orjson

from bench.measuring import Figure, Machine, rounds
from greylag.app.whatif.example import OPENED, made_up_world
from greylag.app.whatif.files import read_drill
from greylag.app.whatif.running import library
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.governance.decision import Decision, decision_from, entry_of
from greylag.governance.policy import CedarPolicy
from greylag.governance.policy.request import Asked, entities, resolve
from greylag.governance.question import Asset, Question, Target
from greylag.governance.whatif import LiveThings, Pair, Report, apply, relabelled, replay

_DECISIONS = 100_000
_QUICK = 4_000
_TASK = 40
_DAY = date(2026, 11, 24)
_ENDPOINTS = tuple(OPENED)
#: How the decisions of one task spread over the stages: most are prompts and what they leave behind.
_STAGES = (
    (Stage.INTAKE, "person:ada", "request", "store", "control-plane", 1),
    (Stage.PLACEMENT, "platform:greylag", "task", "pool", "pool@fra-1", 1),
    (Stage.CHECKOUT, "platform:greylag", "repository", "sandbox", "bubblewrap", 2),
    (Stage.CONTEXT, "platform:greylag", "prompt", "sandbox", "bubblewrap", 1),
    (Stage.PROMPT, "agent:{run}", "prompt", "endpoint", "{endpoint}", 20),
    (Stage.TOOL, "agent:{run}", "repository", "sandbox", "bubblewrap", 3),
    (Stage.ARTIFACT, "platform:greylag", "message", "store", "vault:fra-1", 6),
    (Stage.CHAT, "platform:greylag", "card", "chat", "thread:fra-1", 4),
    (Stage.PUSH, "platform:greylag", "diff", "forge", "builtin", 1),
    (Stage.RETAIN, "platform:greylag", "task", "store", "vault:fra-1", 1),
)
_LABELS = tuple(
    Label.of(level, classes=classes, origins=origins, derived_by=("repository",))
    for level in ("public", "internal", "confidential")
    for classes in ((), ("user.behavior",), ("user.contact.email",), ("code.proprietary",), ("code", "user.job_title"))
    for origins in (("DE",), ("FR", "GB"))
)  # fmt: skip


def measure_replay(machine: Machine, quick: bool) -> list[Figure]:
    """Replay of recorded decisions: read, made again as recorded, asked in the changed world, added up."""
    count = _QUICK if quick else _DECISIONS
    with tempfile.TemporaryDirectory(prefix="glbench-") as name:
        world = made_up_world(Path(name), _DAY)
        before = world.policy(today=_DAY)
        file = Path(name) / "entries.jsonl"
        with file.open("wb") as out:
            out.writelines(orjson.dumps(entry_of(each)) + b"\n" for each in _recorded(before, count))
        drill = read_drill("dpf-annulled")
        changed = apply(world, drill, library(), today=_DAY)

        def replayed() -> float:
            # Policies of their own each time: nothing is remembered from the round before.
            pair = Pair(world.policy(today=_DAY), changed.world.policy(today=_DAY, drill=True), changed)
            report = Report(drill, LiveThings(), {})
            begun = time.process_time()
            decisions = (decision_from(orjson.loads(line)) for line in _lines(file))
            for outcome in replay(decisions, lambda _: pair, relabelled(drill)):
                report.add(outcome)
            taken = time.process_time() - begun
            assert report.counts["decisions"] == count, "every decision was replayed"
            assert report.counts["newly_denied"], "the drill does something"
            return taken / count * 1e6

        def decoded() -> float:
            begun = time.process_time()
            for line in _lines(file):
                orjson.loads(line)
            return (time.process_time() - begun) / count * 1e6

        taken = rounds(machine, 2 if quick else 5, {"replay": replayed, "decode": decoded})
    note = f"{count} decisions on one core, in two worlds each; 100 µs are 10 000 a second"
    limit = None if quick else 100.0  # few decisions are hardly more than the first of each kind
    return [Figure("replay, one decision", "µs", taken["replay"], "JSON decoding alone", taken["decode"], limit, note)]


def measure_path(machine: Machine, quick: bool) -> list[Figure]:
    """One decision in the path, and one that nobody has asked before: the slowest of a hundred, beside bare Cedar.

    In the path: new tasks of repositories that the policy knows, each run a principal of its own.
    """
    with tempfile.TemporaryDirectory(prefix="glbench-") as name:
        policy = made_up_world(Path(name), _DAY).policy(today=_DAY)
    for each in _recorded(policy, _TASK * len(_LABELS) * len(_ENDPOINTS)):
        policy.decide(each.question)
    bare, numbers = _Bare(policy), iter(range(10**9))
    questions = [each.question for each in _recorded(policy, 1000)]
    requests = [bare.request(question) for question in questions]
    denied = [question for question in questions if not policy.decide(question).permitted][:200]
    permitted = [question for question in questions if policy.decide(question).permitted][:400]

    def path() -> float:
        asked = [replace(each, principal=f"{each.principal[:200]}x{next(numbers)}") for each in questions]
        return _ninety_ninth(policy.decide, asked)

    def unheard(those: list[Question]) -> Callable[[], float]:
        return lambda: _ninety_ninth(policy.decide, [_unheard(each, next(numbers)) for each in those])

    subjects = {
        "path": path, "permitted": unheard(permitted), "denied": unheard(denied),
        "bare": lambda: _ninety_ninth(bare.ask, requests),
    }  # fmt: skip
    taken = rounds(machine, 5 if quick else 15, subjects)
    floor = ("one bare Cedar call, p99", taken["bare"])
    rules = f"over {len(policy.rules.rules)} rules"
    looks = "a denial also asks which of the opened endpoints would do"
    return [
        Figure("decision in the path, p99", "ms", taken["path"], *floor, 1.0, rules),
        Figure("never asked, permitted, p99", "ms", taken["permitted"], *floor, 1.0, rules),
        Figure("never asked, denied, p99", "ms", taken["denied"], *floor, None, looks),
    ]


def _ninety_ninth(work: Callable[[Any], object], those: Sequence[object]) -> float:
    times = []
    for each in those:
        begun = time.perf_counter()
        work(each)
        times.append(time.perf_counter() - begun)
    return sorted(times)[len(times) * 99 // 100] * 1000


class _Bare:
    """Cedar itself, with everything parsed: what no engine over it can be quicker than."""

    def __init__(self, policy: CedarPolicy) -> None:
        self._facts = policy.facts_on(_DAY)
        self._policies = cedarpy.PolicySet.from_json_str(policy.rules.policies_json)
        self._schema = cedarpy.Schema.from_str(policy.rules.schema_text)
        self._entities = cedarpy.Entities.from_json_str(
            orjson.dumps(entities(self._facts)).decode(), self._schema
        )  # fmt: skip

    def request(self, question: Question) -> dict[str, object]:
        asked = resolve(question, self._facts)
        assert isinstance(asked, Asked), "the bench asks well-formed questions"
        return asked.request("fra-1", ("operator", "DE"))

    def ask(self, request: dict[str, object]) -> object:
        return cedarpy.is_authorized_batch([request], self._policies, self._entities, schema=self._schema)


def _recorded(policy: CedarPolicy, count: int) -> Iterator[Decision]:
    for number in range(count):
        task, step = divmod(number, _TASK)
        run, endpoint = f"run_{task:026d}", _ENDPOINTS[task % len(_ENDPOINTS)]
        stage, who, kind, target_kind, target = _step(step)
        label = _LABELS[task % len(_LABELS)]
        at = datetime(_DAY.year, _DAY.month, _DAY.day, tzinfo=UTC) + timedelta(days=task % 30)
        question = Question(
            stage, who.format(run=run), "send",
            Asset(kind, label, "fra-1", f"sha256:{number:064x}", 4000 + number % 9000),
            Target(target_kind, target.format(endpoint=endpoint)), at,
        )  # fmt: skip
        repository = f"repository-{task % 97}"
        task_id = f"task_{task:026d}"
        yield Decision(f"dec_{number:026d}", task_id, repository, "fra-1", question, policy.decide(question))


def _step(step: int) -> tuple[Stage, str, str, str, str]:
    for *what, times in _STAGES:
        if step < times:
            return tuple(what)  # type: ignore[return-value]
        step -= times
    raise AssertionError("the steps of a task add up")


def _unheard(question: Question, number: int) -> Question:
    label = replace(question.asset.label, subjects=1_000 + number)
    return replace(question, asset=replace(question.asset, label=label))


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        yield from lines
