"""Intake: what is wanted and where, at which level; it asks only where a good colleague would, three times at most."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from greylag.delivery.briefing import reading_of, repositories_here
from greylag.delivery.cell import CONTROL_STORE, Cell, label_of
from greylag.delivery.echo import echo_all
from greylag.delivery.hints import to_answer
from greylag.delivery.intake.advising import ADVISED
from greylag.delivery.intake.reading import Reading
from greylag.domain import events as ev
from greylag.domain.conversation import Offer
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task
from greylag.egress.hop import Hop

MOST_QUESTIONS = 3
#: So that one is left for the repository.
_MOST_ABOUT_WORDING = 2
_MOST_CHOICES = 20
_NAMED = 10


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked: for kind ``about``, with the choices offered, and how it is said in the thread."""

    about: str
    text: str
    choices: tuple[str, ...] = ()


async def intake(cell: Cell, task_id: TaskId) -> str:
    """Read the request; answer ``accepted`` (work), ``question`` or ``status`` (to be answered), or ``asked``.

    Raises RequestRefused ``GL-INTAKE-005`` (several repositories), ``-006`` (still no repository after three
    questions), ``-007`` (nothing to stop), ``-009`` (no repository here), ``GL-REPO-005``; PolicyRefused.
    """
    await echo_all(cell, task_id)
    task = await cell.task(task_id)
    if task.status is TaskStatus.ASKED:  # the process died before this step was remembered
        return "asked"
    repositories = repositories_here(cell)
    if task.repository and task.repository not in {each.name for each in repositories}:
        raise RequestRefused(
            "GL-REPO-005", f"`{task.repository}` is not in region `{cell.region}`.", "ask where that repository is."
        )
    if not repositories:
        raise RequestRefused(
            "GL-INTAKE-009", f"no repository is in region `{cell.region}` yet.",
            "add one: `greylag repo add PATH_OR_URL --name NAME`.",
        )  # fmt: skip
    reading = await reading_of(cell, task)
    _refuse_what_cannot_be(reading)
    question = _question(task, reading)
    if question is not None:
        return await _ask(cell, task, question)
    found = next((each for each in repositories if each.name == reading.repository), None)
    if found is None and reading.intent != "status":
        raise RequestRefused(
            "GL-INTAKE-006", f"after {task.questions} questions it is not known which repository this is about.",
            f"ask again and name one: {_listed(reading.candidates)}.",
        )  # fmt: skip
    await _accept(cell, task, reading, found)
    return reading.intent if reading.intent in ("question", "status") else "accepted"


async def read_answer(cell: Cell, task_id: TaskId) -> str:
    """Look whether the question was answered: ``received`` (go on), ``asked`` (wait on) or ``ended``."""
    await echo_all(cell, task_id)
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


def _refuse_what_cannot_be(reading: Reading) -> None:
    if reading.intent == "campaign":
        raise RequestRefused(
            "GL-INTAKE-005", "a campaign over several repositories can't be asked for yet.",
            f"ask once for each repository: {_listed(reading.several)}.",
        )  # fmt: skip
    if reading.intent == "stop":
        raise RequestRefused(
            "GL-INTAKE-007", "there is nothing here to stop: this is a request of its own.",
            "say `stop` in the thread of the task that shall stop, or: `greylag task stop TASK`.",
        )  # fmt: skip


def _question(task: Task, reading: Reading) -> _Question | None:
    """Return what must be asked, None where nothing must or may: then the best reading is acted on."""
    if task.questions >= MOST_QUESTIONS:
        return None
    programmed = task.agent == "command"  # a program that comes with the request says by itself what is done
    if "wording" in reading.missing and not programmed and len(task.answers) < _MOST_ABOUT_WORDING:
        return _ask_for_words(task, reading)
    if reading.repository is None and reading.intent != "status":
        return _Question("repository", "Which repository is this about?", reading.candidates[:_MOST_CHOICES])
    return None


def _ask_for_words(task: Task, reading: Reading) -> _Question:
    where = f" in {reading.repository}" if reading.repository else ""
    what = f"What would you like to know{where}?" if reading.intent == "question" else (
        f"What should change{where}, and what should it do then?"
    )  # fmt: skip
    if task.answers:
        what = f"I still can't tell. {what} If you say no more, I go by what I have."
    return _Question("wording", what)


async def _ask(cell: Cell, task: Task, question: _Question) -> str:
    choices = question.choices
    how = [f"  {number}. {name}" for number, name in enumerate(choices, 1)]
    text = "\n".join([question.text, *how, *to_answer(task.task_id)])
    offers = tuple(Offer("answer", name, name) for name in choices)
    # Said before it is recorded: who waits for the task to rest must find the words in the thread.
    key = f"question/{task.questions + 1}"
    await cell.say(task, "question", text, key, offers)
    await cell.record(task.task_id, ev.QuestionAsked(question.text, choices, question.about), key)
    return "asked"


async def _accept(cell: Cell, task: Task, reading: Reading, found: Repository | None) -> None:
    text = await cell.fetch(task, task.request)
    base = cell.labeller.of_repository(found) if found else label_of(task)
    task = await cell.relabel(task, cell.labeller.of_content(text, base))
    asset = replace(
        cell.asset("request", label_of(task), text, surfaces=("title",), people=(task.requester,)),
        digest=task.request.digest,
    )
    name = found.name if found else ""
    who, key = f"person:{task.requester}", f"accept/{name}"
    permit = await cell.admit(Hop(Stage.INTAKE, who, "ask", asset, CONTROL_STORE, key, task.task_id, name))
    if "wording" in reading.missing and task.questions:
        text_said = f"I take it as a {reading.intent} in {name}, and decide myself what was left open."
        await cell.say(task, "text", text_said, "assumed")
    if ADVISED in reading.reasons:
        label = cell.labels.get(cell.endpoint, "")
        by = f"A model ({label})" if label else "A model"
        await cell.say(task, "text", f"{by} took it as a {reading.intent} in {name}; if not, say `stop`.", "advised")
    accepted = ev.TaskAccepted(name, reading.intent, label_of(task).level, permit.decision_id)
    await cell.record(task.task_id, accepted, "accepted")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
