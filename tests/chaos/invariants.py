"""What must hold after any number of kills. Each check returns what is wrong, in words; nothing wrong is an empty list.

All of it is read from the databases, the vault and git, with the platform stopped: not from what the platform says.
"""

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from greylag.adapters.engine.backends.dbos import DbosEngine
from greylag.adapters.store.audit import audit_ledger
from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.opening import Control
from greylag.adapters.vault.backends.local import LocalVault
from greylag.app.bootstrap import open_stores, places_of
from greylag.app.settings import load_settings
from greylag.domain import events as ev
from greylag.domain.events import Recorded
from greylag.domain.ids import TaskId
from greylag.domain.replaying import replay
from greylag.domain.repository import Repository
from greylag.domain.task import Task
from tests.chaos.processes import Process, processes_of


@dataclass(frozen=True)
class Scene:
    """A stopped platform's stores, opened for looking."""

    home: Path
    region: str
    cell: Path
    control: Control
    ledger: SqlLedgerStore
    vault: LocalVault
    engine: DbosEngine
    entries: list[dict[str, Any]]

    def events(self, task_id: TaskId) -> list[Recorded]:
        found: list[Recorded] = []
        while page := self.control.events.read(task_id, len(found)):
            found += page
        return found

    def tasks(self) -> list[Task]:
        return [task for task in self.control.events.tasks(limit=500) if task.region == self.region]

    def repositories(self) -> list[Repository]:
        return [each for each in self.control.directory.repositories() if each.region == self.region]


@contextmanager
def opened(home: Path, env: Mapping[str, str]) -> Iterator[Scene]:
    settings = load_settings(home, env)
    region = settings.region.name
    places = places_of(settings, home)
    control, ledger, _ = open_stores(settings, home)
    engine = DbosEngine(region, places.engine_url, "looks-only", places.cell / "engine")
    try:
        entries: list[dict[str, Any]] = []
        while page := ledger.entries(len(entries), 1000):
            entries += [json.loads(entry.body) for entry in page]
        vault = LocalVault(places.cell / "vault", region)
        yield Scene(home, region, places.cell, control, ledger, vault, engine, entries)
    finally:
        asyncio.run(engine.close())
        ledger.close()
        control.close()


def check(home: Path, env: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Return everything that is wrong on ``home``, whose tasks must be ``expected`` (id → status)."""
    with opened(home, env) as scene:
        problems = [f"{look.__name__}: {said}" for look in _CHECKS for said in look(scene)]
        problems += [f"ends: {said}" for said in _ends(scene, expected)]
    return problems


def _ends(scene: Scene, expected: Mapping[str, str]) -> Iterator[str]:
    found = {task.task_id: str(task.status) for task in scene.tasks()}
    if found != dict(expected):
        yield f"tasks are {found}, expected {dict(expected)}"
    yield from (f"{task.task_id} is not closed" for task in scene.tasks() if not task.closed)


def log_is_whole(scene: Scene) -> Iterator[str]:
    for task in scene.tasks():
        records = scene.events(task.task_id)
        if [record.sequence for record in records] != list(range(1, len(records) + 1)):
            yield f"{task.task_id} has the sequence {[record.sequence for record in records]}"
        yield from (f"{task.task_id} has {each} twice" for each in _twice(record.key for record in records))
        if replay(records) != task:
            yield f"{task.task_id}: the projection is not what the log says"
        if any(later.at < earlier.at for earlier, later in pairwise(records)):
            yield f"{task.task_id}: time runs backwards"


_TOLD: dict[type[Any], Callable[[Any, str], tuple[str, ...]]] = {
    ev.TaskReceived: lambda event, key: ("request", "ack"),
    ev.QuestionAsked: lambda event, key: (key,),
    ev.TaskAnswered: lambda event, key: (key,),
    ev.QuestionAnswered: lambda event, key: (key,),
    ev.TaskPlaced: lambda event, key: ("placed",),
    ev.RunVerified: lambda event, key: (f"checked/{event.run_id}",),
    ev.TaskHandedOver: lambda event, key: (key,),
    ev.ReviewRequested: lambda event, key: (f"card/{event.change_id}",),
    ev.FollowUpReceived: lambda event, key: (key,),
    ev.ApprovalGiven: lambda event, key: (str(event.approval_id),),
    ev.ChangeMerged: lambda event, key: (f"merged/{event.change_id}",),
    ev.ChangeRejected: lambda event, key: (key,),
    ev.ReleaseFinished: lambda event, key: (f"released/{event.release_id}",),
    ev.ReleaseRolledBack: lambda event, key: (f"rolled-back/{event.release_id}",),
    ev.TaskReleased: lambda event, key: ("task-released",),
    ev.StopRequested: lambda event, key: ("stop",),
    ev.TaskCancelled: lambda event, key: ("cancelled",),
    ev.TaskExpired: lambda event, key: ("expired",),
    ev.TaskFailed: lambda event, key: (f"failed/{event.code}",),
    ev.TaskRefused: lambda event, key: (f"failed/{event.code}",),
}


def threads_tell_it_all(scene: Scene) -> Iterator[str]:
    """Whatever happened was said, once, and can be read."""
    for task in scene.tasks():
        messages = scene.control.threads.messages(task.task_id, limit=10_000)
        keys = [message.key for message in messages]
        yield from (f"{task.task_id} says {each} twice" for each in _twice(keys))
        if [message.sequence for message in messages] != list(range(1, len(messages) + 1)):
            yield f"{task.task_id}: messages are missing"
        for record in scene.events(task.task_id):
            wanted = _TOLD.get(type(record.event), lambda event, key: ())(record.event, record.key)
            yield from (
                f"{task.task_id}: {type(record.event).__name__} was never told ({key})"
                for key in wanted
                if key not in keys
            )
        for message in messages:
            scene.vault.get(message.body, subject=task.task_id)


def agents_words_are_told(scene: Scene) -> Iterator[str]:
    """A run by an agent that finished is summed up in the thread."""
    for task in scene.tasks():
        keys = {message.key for message in scene.control.threads.messages(task.task_id, limit=10_000)}
        for run in task.runs:
            agent_ran = f"begins/{run.run_id}" in keys
            told_apart = str(run.status) in ("failed", "stopped")  # how such a run ended is said in other words
            if agent_ran and run.detail and not told_apart and f"summary/{run.run_id}" not in keys:
                yield f"{task.task_id}: what the agent of {run.run_id} said at its end was never told"


def git_holds_what_was_approved(scene: Scene) -> Iterator[str]:
    """One merge for each merged change, the approved tree, one commit on each branch, nothing else."""
    for repository in scene.repositories():
        folder = scene.cell / "forge" / f"{repository.name}.git"
        fsck = _git(folder, "fsck", "--no-progress", "--no-dangling", "--connectivity-only", fine=(0, 1, 2, 4, 8))
        yield from (f"git fsck: {line}" for line in fsck.splitlines() if line.strip())
        branches = {"main"}
        merges: Counter[str] = Counter()
        for commit in _git(folder, "rev-list", "--first-parent", "main").split():
            merges[_git(folder, "show", "--no-patch", "--format=%(trailers:key=Task,valueonly)", commit).strip()] += 1
        for task in scene.tasks():
            if task.repository != repository.name or task.intent == "release":
                continue
            merged = [
                record.event for record in scene.events(task.task_id) if isinstance(record.event, ev.ChangeMerged)
            ]
            if merges.pop(task.task_id, 0) != len(merged) or len(merged) > 1:
                yield f"{task.task_id}: {len(merged)} merges in the log, another number on main"
            yield from _branch_is_right(scene, folder, task, merged, branches)
        merges.pop("", None)
        yield from (f"main holds {count} commits of {name}" for name, count in merges.items())
        there = set(_git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads").split())
        if there != branches:
            yield f"branches are {sorted(there)}, expected {sorted(branches)}"


def _branch_is_right(
    scene: Scene, folder: Path, task: Task, merged: list[ev.ChangeMerged], branches: set[str]
) -> Iterator[str]:
    pushes = [record.event for record in scene.events(task.task_id) if isinstance(record.event, ev.ChangePushed)]
    yield from (f"{task.task_id} pushed {each} twice" for each in _twice(push.change_id for push in pushes))
    if not pushes:
        return
    branches.add(pushes[-1].branch)
    change = next(change for change in task.changes if change.change_id == pushes[-1].change_id)
    commit, parent, tree = _git(folder, "show", "--no-patch", "--format=%H %P %T", pushes[-1].branch).split()
    if (commit, parent, tree) != (pushes[-1].commit, change.base_commit, change.tree):
        yield f"{task.task_id}: the branch is {commit} on {parent} with {tree}, not what was captured and pushed"
    for merge in merged:
        _, first, second, at = _git(folder, "show", "--no-patch", "--format=%H %P %T", merge.commit).split()
        if (first, second, at, merge.tree) != (change.base_commit, commit, tree, tree):
            yield f"{task.task_id}: what was merged is not what was approved"


def released_once(scene: Scene) -> Iterator[str]:
    """Each environment got each task's build once, in order, and the last of them is live."""
    for repository in scene.repositories():
        for environment in repository.environments:
            history = scene.control.deployments.deployments(repository.name, environment.name)
            yield from (
                f"{environment.name} got {each} twice" for each in _twice((d.task_id, d.digest) for d in history)
            )
            finished = [
                (record.at, task.task_id, record.event.digest)
                for task in scene.tasks()
                for record in scene.events(task.task_id)
                if isinstance(record.event, ev.ReleaseFinished) and record.event.environment == environment.name
            ]
            logged = [(task_id, digest) for _, task_id, digest in sorted(finished, reverse=True)]
            if logged != [(each.task_id, each.digest) for each in history]:
                yield f"{environment.name}: the log has {logged}, the deployments {history}"
    for task in scene.tasks():
        if str(task.status) == "released" and task.build is not None:
            digests = {release.digest for release in task.releases}
            if digests != {task.build.artifact.digest}:
                yield f"{task.task_id} released {digests}, built {task.build.artifact.digest}"
            content = scene.vault.get(task.build.artifact, subject=task.task_id)
            if len(content) != task.build.artifact.size_bytes:
                yield f"{task.task_id}: the build in the vault has {len(content)} bytes"


def ledger_is_intact(scene: Scene) -> Iterator[str]:
    report = audit_ledger(scene.ledger, scene.control.witness, scene.ledger.verifier_key)
    if not report.ok:
        yield f"{report.findings}"
    if any(entry["region"] != scene.region for entry in scene.entries):
        yield "it holds entries of another region"


def decisions_are_on_record(scene: Scene) -> Iterator[str]:
    """Every decision that an event or a message names stands in the ledger, as a yes, for this task and region."""
    by_id = {entry["decision_id"]: entry for entry in scene.entries if entry["kind"] == "decision"}
    for task in scene.tasks():
        named = {getattr(record.event, "decision_id", "") for record in scene.events(task.task_id)} - {""}
        named |= {each.decision_id for each in scene.control.threads.messages(task.task_id, limit=10_000)} | set(
            task.decisions
        )
        for decision in named - {""}:
            entry = by_id.get(decision)
            if entry is None:
                yield f"{task.task_id} names {decision}, which is not in the ledger"
            elif (not entry["permitted"] and str(task.status) != "refused") or entry["task_id"] != task.task_id:
                yield f"{task.task_id} names {decision}, which is {entry}"


def decided_once(scene: Scene) -> Iterator[str]:
    """A push, a merge or a release that is done again after a kill is the same decision, not a second one."""
    for task in scene.tasks():
        counts = Counter(
            (entry["stage"], entry["action"], entry["decision_id"])
            for entry in scene.entries
            if entry["kind"] == "decision" and entry["task_id"] == task.task_id
            and entry["action"] in ("push", "merge", "deploy")
        )  # fmt: skip
        yield from (f"{task.task_id} decided {what} {count} times" for what, count in counts.items() if count > 1)


def model_calls_are_settled_once(scene: Scene) -> Iterator[str]:
    """A receipt names a decision of its own, and the decision of each receipt has exactly one outcome on record."""
    outcomes = Counter(entry["decision_id"] for entry in scene.entries if entry["kind"] == "outcome")
    for task in scene.tasks():
        turns = [record.event for record in scene.events(task.task_id) if isinstance(record.event, ev.TurnSettled)]
        yield from (f"{task.task_id} settled {each} twice" for each in _twice(turn.decision_id for turn in turns))
        yield from (
            f"{task.task_id}: {turn.decision_id} has {outcomes[turn.decision_id]} outcomes"
            for turn in turns
            if outcomes[turn.decision_id] != 1
        )
        spent = sum(turn.cost_usd_micros for turn in turns)
        if spent != task.cost_usd_micros:
            yield f"{task.task_id} cost {task.cost_usd_micros}, its calls {spent}"


def engine_has_nothing_left(scene: Scene) -> Iterator[str]:
    if scene.engine.running():
        yield f"still running: {sorted(scene.engine.running())}"
    if scene.engine.failed():
        yield f"failed: {dict(scene.engine.failed())}"


def nothing_is_left_behind(scene: Scene) -> Iterator[str]:
    yield from (f"a workspace is left: {path}" for path in (scene.cell / "workspaces").glob("*"))
    scratch = list((scene.cell / "forge" / ".scratch").glob("*"))
    if len(scratch) > 2:  # the next use removes what a kill left; the last kill's may still be there
        yield f"{len(scratch)} scratch folders are left in the forge"
    yield from (f"a process is left: {process}" for process in processes_of(scene.home))


def orphans_are_gone(orphans: Iterable[Process], home: Path) -> list[str]:
    """Return the sandboxed processes that outlived the platform that had started them."""
    return [f"a process outlived its platform: {process}" for process in set(orphans) & set(processes_of(home))]


_CHECKS = (
    log_is_whole, threads_tell_it_all, agents_words_are_told, git_holds_what_was_approved, released_once,
    ledger_is_intact, decisions_are_on_record, decided_once, model_calls_are_settled_once, engine_has_nothing_left,
    nothing_is_left_behind,
)  # fmt: skip


def _twice(values: Iterable[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def _git(folder: Path, *arguments: str, fine: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        ["git", f"--git-dir={folder}", *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"},
    )  # fmt: skip
    assert done.returncode in fine, f"git {' '.join(arguments)}: {done.stderr}"
    return done.stdout + (done.stderr if done.returncode else "")
