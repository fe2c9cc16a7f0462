"""Briefing: what was said to a task so far, for those who read it: intake, and the agent's prompt."""

import asyncio
import json
from dataclasses import dataclass

from greylag.adapters.models.port import RunGrant, TurnReceipt
from greylag.delivery.cell import Cell, label_of
from greylag.delivery.intake.advising import Advice, advice_in, advice_request, choices, unsure, with_advice
from greylag.delivery.intake.places import Known, paths_in
from greylag.delivery.intake.reading import Reading, Said, read, said_in
from greylag.delivery.prompts import Answer, Asked
from greylag.domain import events as ev
from greylag.domain.conversation import RequestAdvised
from greylag.domain.errors import BackendError, OperatorError, PolicyRefused, RequestRefused
from greylag.domain.ids import derived_id
from greylag.domain.repository import Repository
from greylag.domain.task import Task

_READ_EVENTS = 200
_LISTED_REPOSITORIES = 50
_NAME_CHARACTERS = 120
_ADVICE_SECONDS = 20.0


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
    """Read what was asked for. Only words that the requester wrote choose; others' answers and files only supply.

    Where the rules are not sure and a model may be asked, it is, once for what was said so far. Raises IntegrityError.
    """
    said, reading = await _by_rules(cell, task)
    advice = task.advice
    if advice is None:
        if not (cell.advises and cell.endpoint and said.own.strip() and unsure(reading)):
            return reading
        advice = await _asked_model(cell, task, said, reading)
        await cell.record(task.task_id, advice, f"advice/{task.questions}")
    if not advice.ask or advice.repository not in ("", *reading.candidates):
        return reading
    return with_advice(reading, Advice(advice.intent, advice.repository, advice.ask))


async def _by_rules(cell: Cell, task: Task) -> tuple[Said, Reading]:
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
    return said, reading


async def _asked_model(cell: Cell, task: Task, said: Said, reading: Reading) -> RequestAdvised:
    """Ask the model, through the gateway and within the task's money; whatever goes wrong is told in ``code``."""
    receipts: list[TurnReceipt] = []

    async def keep(receipt: TurnReceipt) -> None:
        receipts.append(receipt)

    label = label_of(task)
    for each in repositories_here(cell):  # names and keywords to choose from are said too, and are theirs
        if each.name in choices(reading):
            label = label.joined(cell.labeller.of_repository(each))
    grant = RunGrant(
        task_id=task.task_id, run_id=derived_id("run", task.task_id, "advice", str(task.questions)),
        region=cell.region, endpoint=cell.endpoint, label=label, cap_usd_micros=cell.bounds.cap_usd_micros,
        spent_usd_micros=task.cost_usd_micros, max_calls=1, on_turn=keep, repository=reading.repository or "",
    )  # fmt: skip
    found, code, decision = Advice("", "", ""), "", ""
    try:
        found = await _advice(cell, grant, said, reading)
    except (RequestRefused, OperatorError, BackendError) as error:  # then the rules' reading stands
        code, decision = error.code, error.decision_id if isinstance(error, PolicyRefused) else ""
    sent = receipts[-1] if receipts else TurnReceipt(0, cell.endpoint, "", 0, 0, 0, decision, "", 0)
    return RequestAdvised(
        found.intent, found.repository, found.ask, sent.endpoint, sent.model, sent.input_tokens, sent.output_tokens,
        sent.cost_usd_micros, sent.decision_id, code,
    )  # fmt: skip


async def _advice(cell: Cell, grant: RunGrant, said: Said, reading: Reading) -> Advice:
    known = [Known(each.name, each.keywords) for each in repositories_here(cell)]
    body = advice_request(cell.model, said.own, reading, known)
    remedy = "answer what intake asks; or turn advice off: `[agent] intake_model`."
    try:
        async with asyncio.timeout(_ADVICE_SECONDS):
            answer = await cell.gateway.complete(grant, body)
    except TimeoutError as error:
        raise BackendError("GL-INTAKE-011", "the model did not advise in time.", remedy) from error
    advice = advice_in(answer, choices(reading))
    if advice is None:
        raise BackendError("GL-INTAKE-010", "the model's answer is not the advice that was asked for.", remedy)
    return advice


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
