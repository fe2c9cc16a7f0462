"""``greylag ask``, ``approve``, ``reject`` and ``greylag task …``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from greylag.app.cli.context import connect
from greylag.app.client.console import As, Json, TaskArgument, emit, note, split_command, table
from greylag.app.client.thread import exit_code, follow, summary
from greylag.domain.errors import RequestRefused

app = typer.Typer(no_args_is_help=True)


def ask(  # noqa: PLR0913 - each is an option of the command
    text: Annotated[str, typer.Argument(help="What should change, in plain language; `-` reads standard input.")],
    command: Annotated[
        list[str] | None, typer.Argument(help="After `--`: the program of the command or acp agent.")
    ] = None,
    repo: Annotated[str, typer.Option(help="The repository, where the words don't say it.")] = "",
    agent: Annotated[str, typer.Option(help="claude, acp or command.")] = "",
    attach: Annotated[
        list[Path] | None,
        typer.Option(help="A text file that goes with the request, as policy lets it; again for more."),
    ] = None,
    as_person: As = "",
    detach: Annotated[bool, typer.Option("--detach", help="Don't watch: say the task id and return.")] = False,
    as_json: Json = False,
) -> None:
    """Ask for a fix, a feature or a release, and watch until it needs a person."""
    body = {
        "text": sys.stdin.read(64_000) if text == "-" else text, "repository": repo or None, "agent": agent,
        "command": list(split_command(command or [])), "attachments": [_attachment(path) for path in attach or ()],
    }  # fmt: skip
    with connect(as_person) as session:
        task = session.post("/tasks", body)
        if detach and session.own:
            note(
                "no platform runs here, so this command does the work itself and can't detach (`greylag up` runs one)."
            )
        if detach and not session.own:
            emit(task, as_json, lambda each: each["task_id"])
            return
        task = follow(session, task["task_id"], quiet=as_json)
    emit(task, as_json, summary)
    raise typer.Exit(exit_code(task))


def approve(
    task: TaskArgument,
    as_person: As = "",
    subject: Annotated[
        str, typer.Option(help="The digest you looked at; refused if it is not the one in review.")
    ] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Don't watch the merge and the release.")] = False,
    as_json: Json = False,
) -> None:
    """Approve exactly what is up for review; somebody else than who asked."""
    with connect(as_person) as session:
        seen = session.get(f"/tasks/{task}/messages")
        after = seen[-1]["sequence"] if seen else 0
        answer = session.post(f"/tasks/{task}/approval", {"subject": subject})
        if not detach or session.own:
            answer = follow(session, answer["task_id"], after=after, quiet=as_json)
    emit(answer, as_json, summary)
    raise typer.Exit(exit_code(answer))


def reject(
    task: TaskArgument,
    reason: Annotated[str, typer.Argument(help="Why, for the thread.")] = "",
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Say no to what is up for review; nothing is merged."""
    with connect(as_person) as session:
        emit(session.post(f"/tasks/{task}/rejection", {"reason": reason}), as_json, summary)


@app.command("list")
def list_tasks(
    status: Annotated[list[str] | None, typer.Option(help="Only tasks with this status; may be given again.")] = None,
    repo: Annotated[str, typer.Option(help="Only tasks of this repository.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most this many.")] = 20,
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    with connect(as_person) as session:
        found = session.get("/tasks", repository=repo or None, limit=limit)
    wanted = [task for task in found if not status or task["status"] in status]
    rows = [
        (task["task_id"], task["status"], task["repository"] or "?", task["requester"], task["title"])
        for task in wanted
    ]
    emit(wanted, as_json, lambda _: table(rows, ("task", "status", "repository", "asked by", "title")))


@app.command()
def show(
    task: TaskArgument,
    diff: Annotated[bool, typer.Option("--diff", help="Show the change itself.")] = False,
    content: Annotated[str, typer.Option(help="Show report, transcript, prompt or request.")] = "",
    events: Annotated[bool, typer.Option("--events", help="Show the event log.")] = False,
    reason: Annotated[str, typer.Option(help="Why you read it; goes on record.")] = "",
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Show a task; reading its content is a decision and goes on record."""
    kind = "diff" if diff else content
    with connect(as_person) as session:
        if kind:
            raw = session.fetch(f"/tasks/{task}/content/{_kind(kind)}", reason=reason).decode("utf-8", "replace")
            emit({"kind": kind, "text": raw}, as_json, lambda each: each["text"])
        elif events:
            log = session.get(f"/tasks/{task}/events")
            rows = [(str(each["sequence"]), each["at"][:19], each["kind"]) for each in log]
            emit(log, as_json, lambda _: table(rows, ("#", "at", "event")))
        else:
            emit(session.get(f"/tasks/{task}"), as_json, summary)


def _attachment(path: Path) -> dict[str, str]:
    try:
        return {"name": path.name, "text": path.read_bytes().decode()}
    except (OSError, UnicodeDecodeError) as error:
        raise RequestRefused(
            "GL-INTAKE-004", f"{path} can't be attached: {error}.", "attach a text file that you may read."
        ) from error


def _kind(name: str) -> str:
    if not name.isalpha():
        raise RequestRefused(
            "GL-TASK-006", f"there is no content {name[:40]!r}.", "for example: `report`, `transcript`, `prompt`."
        )
    return name


@app.command()
def watch(task: TaskArgument, as_person: As = "", as_json: Json = False) -> None:
    """Follow a task's thread until it needs a person or has ended."""
    with connect(as_person) as session:
        found = follow(session, task, quiet=as_json)
    emit(found, as_json, summary)
    raise typer.Exit(exit_code(found))


@app.command()
def reply(
    task: TaskArgument,
    text: Annotated[str, typer.Argument(help="What else you want, or the answer to the question.")],
    mode: Annotated[
        str, typer.Option(help="add (tell the agent now), queue (comes next) or replace; without it the words decide.")
    ] = "",
    as_person: As = "",
    detach: Annotated[bool, typer.Option("--detach", help="Don't watch.")] = False,
    as_json: Json = False,
) -> None:
    """Say more in the thread: the agent at work is told, or a further round begins with it."""
    with connect(as_person) as session:
        seen = session.get(f"/tasks/{task}/messages")
        found = session.post(f"/tasks/{task}/replies", {"text": text, "mode": mode})
        if not detach or session.own:
            found = follow(session, found["task_id"], after=seen[-1]["sequence"] if seen else 0, quiet=as_json)
    emit(found, as_json, summary)
    raise typer.Exit(exit_code(found))


@app.command()
def stop(
    task: TaskArgument,
    reason: Annotated[str, typer.Argument(help="Why, for the thread.")] = "",
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Stop a task; a running agent ends within seconds."""
    with connect(as_person) as session:
        found = session.post(f"/tasks/{task}/stop", {"reason": reason})
        found = follow(session, found["task_id"], after=10**9, quiet=as_json)
    emit(found, as_json, summary)


@app.command()
def build(
    task: TaskArgument,
    output: Annotated[Path | None, typer.Option(help="Where to write it (default: its own name, here).")] = None,
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Download the build that is up for review."""
    with connect(as_person) as session:
        found = session.get(f"/tasks/{task}")
        content = session.fetch(f"/tasks/{task}/content/build")
    path = output or Path(Path(found["build_name"]).name or "build")
    path.write_bytes(content)
    document = {"path": str(path), "digest": found["build_digest"], "size_bytes": len(content)}
    emit(document, as_json, lambda each: f"{each['path']} {each['digest']}")
