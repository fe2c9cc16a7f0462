"""Steering: what people say to a task that has begun: an answer, a follow-up, a stop."""

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import About, Cell, label_of
from greylag.delivery.desk.checks import person_with, task_here, title_of, wake, was_taken, words_of
from greylag.delivery.echo import echo
from greylag.delivery.intake.places import names_in
from greylag.delivery.intake.trust import own_words
from greylag.delivery.steering.modes import checked_mode, mode_of
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.repository import Person
from greylag.domain.states import RunStatus, TaskStatus
from greylag.domain.task import Task


def take_reply(
    cell: Cell, engine: Engine, task_id: TaskId, by: str, text: str, message_id: str = "", mode: str = ""
) -> Task:
    """Take a follow-up, or the answer to a question.

    ``mode`` says what a follow-up is for; without it the sender's own words do. ``add`` is told to the agent at work;
    ``queue`` starts a further round as soon as the task can take one, and so does an ``add`` where no agent works that
    can be told; ``replace`` drops what is under way and begins again at the default branch's head, with everything that
    was said. The same ``message_id`` again is taken once, wherever the task stands by then. Raises RequestRefused
    ``GL-TASK-003`` where the task has ended or is past review, ``GL-INTAKE-003`` for an answer that is none of the
    choices, ``GL-STEER-001`` for an unknown mode.
    """
    person = person_with(cell, by, "requester")
    text = words_of(cell, text)
    mode = checked_mode(mode)
    task = task_here(cell, task_id)
    if message_id and was_taken(cell, task, (f"reply/{message_id}", f"answered/{message_id}")):
        return task
    if task.status is TaskStatus.ASKED:
        return _answer(cell, engine, task, person, text, message_id)
    if task.ended or task.status in (TaskStatus.APPROVED, TaskStatus.RELEASING) or task.intent == "release":
        raise RequestRefused("GL-TASK-003", f"{task_id} is `{task.status}` and takes no more.", "ask it as a new task.")
    hears = _hears(cell, task)
    mode = mode or mode_of(own_words(text), at_work=hears)
    if mode == "add" and not hears:
        mode = "queue"  # there is nobody to tell: recorded is what really happens
    key = f"reply/{message_id or cell.clock.entropy(10).hex()}"
    kept = cell.keep_now(About.of(task), text.encode(), "message", key)
    task = cell.relabel_now(task, cell.labeller.of_content(text.encode(), label_of(task)))
    event = ev.FollowUpReceived(person.name, kept, title_of(text), message_id, mode)
    recorded = cell.events.append(task_id, event, key=key, at=cell.clock.now())
    echo(cell, task, recorded)
    noted = _noted(task, mode)
    if noted:
        cell.say_now(About.of(task), "text", noted, f"{key}/noted")
    wake(engine, task_id, recorded.sequence)
    return cell.events.task(task_id)


def take_stop(cell: Cell, engine: Engine, task_id: TaskId, by: str, reason: str = "") -> Task:
    """Ask a task to stop; a running agent ends within seconds. What is merged can't be stopped any more.

    Raises RequestRefused ``GL-TASK-004`` where it is too late.
    """
    person = person_with(cell, by, "requester")
    task = task_here(cell, task_id)
    if task.ended or task.status in (TaskStatus.APPROVED, TaskStatus.RELEASING):
        merged = task.status in (TaskStatus.APPROVED, TaskStatus.RELEASING, TaskStatus.MERGED, TaskStatus.RELEASED)
        remedy = f"roll back instead: `greylag release rollback {task.repository} ENVIRONMENT`."
        raise RequestRefused(
            "GL-TASK-004",
            f"{task_id} is `{task.status}`: too late to stop.",
            remedy if merged else f"nothing is left to stop: `greylag task show {task_id}`.",
        )
    event = ev.StopRequested(person.name, reason[:2000])
    recorded = cell.events.append(task_id, event, key="stop", at=cell.clock.now())
    echo(cell, task, recorded)
    wake(engine, task_id, recorded.sequence)
    return cell.events.task(task_id)


def _hears(cell: Cell, task: Task) -> bool:
    """Say whether an agent is at work, or about to be, that takes more than its prompt."""
    agent = cell.agents.get(task.agent)
    run = task.run
    at_work = task.status is TaskStatus.WORKING and run is not None and run.status is RunStatus.STARTED and not run.by
    return at_work and agent is not None and agent.hears and not task.taken_over_by


def _noted(task: Task, mode: str) -> str:
    """Return what is said at once to a follow-up: what happens with it, and no more than is known by now."""
    if mode == "replace":
        return "Dropping what is under way; beginning again with this."
    if mode == "add":
        return "Passing it on to the agent."
    if task.taken_over_by:
        return f"Noted; {task.taken_over_by} works on it by hand, and it comes when that is handed back."
    return "" if task.waiting else "Noted; it comes next."


def _answer(cell: Cell, engine: Engine, task: Task, person: Person, text: str, message_id: str) -> Task:
    """Take the answer to what intake asked: one of the choices, or, where it asked for wording, what was said."""
    key = f"answered/{message_id or task.questions}"
    if task.question_about == "wording":
        kept = cell.keep_now(About.of(task), text.encode(), "message", key)
        task = cell.relabel_now(task, cell.labeller.of_content(text.encode(), label_of(task)))
        answered = ev.QuestionAnswered("", person.name, kept)
    else:
        answered = ev.QuestionAnswered(_choice(cell, task, text), person.name)
    recorded = cell.events.append(task.task_id, answered, key=key, at=cell.clock.now())
    echo(cell, task, recorded)
    wake(engine, task.task_id, recorded.sequence)
    return cell.events.task(task.task_id)


def _choice(cell: Cell, task: Task, text: str) -> str:
    """Return which repository ``text`` chooses: by its name, its number in the list, or as the one it names.

    Raises RequestRefused ``GL-INTAKE-003``.
    """
    said = own_words(text).strip().strip("`\"'.!").lower()
    exact = said or text.strip().strip("`\"'").lower()
    names = [each.name for each in cell.directory.repositories() if each.region == cell.region]
    for name in (*task.choices, *names):  # of many only some are offered; the others can be typed
        if name.lower() == exact:
            return name
    if exact.isascii() and exact.isdigit() and 1 <= int(exact[:9]) <= len(task.choices):
        return task.choices[int(exact[:9]) - 1]
    named = names_in(said, task.choices)
    if len(named) == 1:
        return named[0]
    known = ", ".join(f"`{each}`" for each in task.choices)
    raise RequestRefused("GL-INTAKE-003", f"{text[:60]!r} is none of {known}.", "answer with one of them.")
