"""Intake: which repository, what is wanted, at which level; ask one question only where it must be asked."""

import re
from collections.abc import Sequence
from dataclasses import replace

from greylag.delivery.cell import CONTROL_STORE, Cell, label_of
from greylag.delivery.echo import echo_all
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.states import TaskStatus
from greylag.egress.hop import Hop

_RELEASE = re.compile(r"\b(ship|release|deploy|roll ?out)\b", re.IGNORECASE)
_FEATURE = re.compile(r"\b(add|build|create|implement|introduce|support|feature|new)\b", re.IGNORECASE)
_FIX = re.compile(r"\b(fix|bug|broken|crash\w*|wrong|fail\w*|error|regress\w*|twice|stuck)\b", re.IGNORECASE)
_AS_IT_IS = re.compile(r"\bas (it|she) (is|stands)\b|\bcurrent (main|version|state)\b", re.IGNORECASE)


async def intake(cell: Cell, task_id: TaskId) -> str:
    """Accept the task or ask which repository; answer ``accepted``, ``asked`` or ``ended``."""
    await echo_all(cell, task_id)
    task = await cell.task(task_id)
    text = (await cell.fetch(task, task.request)).decode()
    repositories = [each for each in cell.directory.repositories() if each.region == cell.region]
    found = _named(repositories, task.repository) if task.repository else choose(text, repositories)
    if found is None and task.repository:
        raise RequestRefused(
            "GL-REPO-005", f"`{task.repository}` is not in region `{cell.region}`.", "ask where that repository is."
        )
    if found is None:
        choices = tuple(repository.name for repository in repositories)
        question = "Which repository is this about?"
        how = "\n".join(f"  {name}" for name in choices)
        text = f"{question}\n{how}\nAnswer in this thread: greylag task reply {task_id} NAME"
        await cell.say(task, "question", text, "question")
        # Said before it is recorded: who waits for the task to rest must find the words in the thread.
        if task.status is not TaskStatus.ASKED:  # else the process died before this step was remembered
            await cell.record(task_id, ev.QuestionAsked(question, choices), f"asked/{task.sequence}")
        return "asked"
    label = cell.labeller.of_content(text.encode(), cell.labeller.of_repository(found))
    task = await cell.relabel(task, label)
    asset = replace(
        cell.asset("request", label_of(task), text.encode(), surfaces=("title",), people=(task.requester,)),
        digest=task.request.digest,
    )
    who, key = f"person:{task.requester}", f"accept/{found.name}"
    permit = await cell.admit(Hop(Stage.INTAKE, who, "ask", asset, CONTROL_STORE, key, task_id, found.name))
    accepted = ev.TaskAccepted(found.name, intent_of(text), label_of(task).level, permit.decision_id)
    await cell.record(task_id, accepted, "accepted")
    return "accepted"


async def read_answer(cell: Cell, task_id: TaskId) -> str:
    """Look whether the question was answered: ``received`` (go on), ``asked`` (wait on) or ``ended``."""
    task = await cell.task(task_id)
    if task.stop_requested_by:
        await cell.record(task_id, ev.TaskCancelled(task.stop_requested_by, "stopped before it began"), "cancelled")
        await cell.say(task, "text", f"Stopped, as {task.stop_requested_by} asked. Nothing was changed.", "cancelled")
        return "ended"
    return "received" if task.status == "received" else "asked"


async def give_up_asking(cell: Cell, task_id: TaskId) -> str:
    """End a task whose question nobody answered."""
    task = await cell.task(task_id)
    await cell.record(task_id, ev.TaskExpired("the question was not answered in time"), "expired")
    await cell.say(
        task, "text", "Nobody answered the question in time, so this has ended. Ask again any time.", "expired"
    )
    return "ended"


def intent_of(text: str) -> str:
    """Return ``release``, ``feature`` or ``fix`` by the words of ``text``; a wish to ship as it stands is a release."""
    if _RELEASE.search(text) and (_AS_IT_IS.search(text) or not (_FIX.search(text) or _FEATURE.search(text))):
        return "release"
    if _FIX.search(text):
        return "fix"
    return "feature" if _FEATURE.search(text) else "fix"


def choose(text: str, repositories: Sequence[Repository]) -> Repository | None:
    """Return the one repository ``text`` is about: named, or clearly ahead by its keywords, or the only one."""
    if len(repositories) == 1:
        return repositories[0]
    words = re.findall(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?", text.lower())
    named = [repository for repository in repositories if repository.name in words]
    if len(named) == 1:
        return named[0]
    scores = sorted(((_score(words, repository), repository.name) for repository in repositories), reverse=True)
    if len(scores) > 1 and scores[0][0] > 0 and scores[0][0] > scores[1][0]:
        return next(repository for repository in repositories if repository.name == scores[0][1])
    return None


def _score(words: Sequence[str], repository: Repository) -> int:
    line = f" {' '.join(words)} "
    return sum(1 for keyword in repository.keywords if f" {keyword.lower()} " in line)


def _named(repositories: Sequence[Repository], name: str | None) -> Repository | None:
    return next((repository for repository in repositories if repository.name == name), None)
