"""Briefing: what was said to a task so far, for those who read it: intake, and the agent's prompt."""

import asyncio
import json
from dataclasses import dataclass

from greylag.delivery.cell import Cell
from greylag.delivery.intake.places import Known, paths_in
from greylag.delivery.intake.reading import Reading, read, said_in
from greylag.delivery.prompts import Answer, Asked
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.repository import Repository
from greylag.domain.task import Task

_READ_EVENTS = 200
_LISTED_REPOSITORIES = 50
_NAME_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Earlier:
    """One message of the thread before the request; ``own`` says that the requester wrote it."""

    author: str
    text: str
    own: bool = False


async def asked_of(cell: Cell, task: Task) -> Asked:
    """Return the request with the answers to what intake asked, and the thread it was asked in."""
    text = (await cell.fetch(task, task.request)).decode()
    context = "\n".join(f"{each.author}: {each.text}" for each in await earlier_in(cell, task))
    answers = tuple(await _answers(cell, task))
    return Asked(text, task.requester, answers, context, task.intent == "question")


async def reading_of(cell: Cell, task: Task) -> Reading:
    """Read what was asked for. Only words that the requester wrote choose; others' answers and files only supply."""
    asked = await asked_of(cell, task)
    own = [answer.text for answer in asked.answers if answer.by == task.requester]
    others = any(answer.by != task.requester for answer in asked.answers)
    supplied = bool(task.attachments or asked.context.strip() or others)
    earlier = [each.text for each in await earlier_in(cell, task) if each.own]
    said = said_in(asked.text, own, earlier=earlier, supplied=supplied)
    repositories = repositories_here(cell)
    known = [Known(each.name, each.keywords) for each in repositories]
    reading = read(said, known, repository=task.repository)
    mentions = paths_in(said.own) or paths_in(said.earlier)
    if reading.repository is None and len(known) <= _LISTED_REPOSITORIES and mentions:
        reading = read(said, await _with_paths(cell, repositories), repository=task.repository)
    return reading


def repositories_here(cell: Cell) -> list[Repository]:
    """Return the repositories of the cell's region."""
    return [each for each in cell.directory.repositories() if each.region == cell.region]


async def earlier_in(cell: Cell, task: Task) -> list[Earlier]:
    """Return what was said in the thread before the request, oldest first; what can't be read is left out."""
    if task.context is None:
        return []
    try:
        found = json.loads(await cell.fetch(task, task.context))
    except ValueError:
        return []
    entries = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [
        Earlier(str(each.get("author", ""))[:_NAME_CHARACTERS], str(each.get("text", "")), each.get("own") is True)
        for each in entries
    ]


async def _with_paths(cell: Cell, repositories: list[Repository]) -> list[Known]:
    found = []
    for each in repositories:
        try:
            head = await cell.forge.head(each.name, each.default_branch)
            paths = await cell.forge.paths(each.name, head)
        except RequestRefused:  # it has no such branch: then no file of it can be meant
            paths = ()
        found.append(Known(each.name, each.keywords, paths))
    return found


async def _answers(cell: Cell, task: Task) -> list[Answer]:
    if not task.answers:
        return []
    recorded = await asyncio.to_thread(cell.events.read, task.task_id, 0, _READ_EVENTS)
    found, question = [], ""
    for each in recorded:
        if isinstance(each.event, ev.QuestionAsked):
            question = each.event.question
        elif isinstance(each.event, ev.QuestionAnswered) and each.event.words is not None:
            words = (await cell.fetch(task, each.event.words)).decode("utf-8", "replace")
            found.append(Answer(each.event.by, question, words))
    return found
