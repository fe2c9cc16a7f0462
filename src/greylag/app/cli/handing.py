"""``greylag task checkout`` and ``greylag task handback``: the work on a person's own machine, and back."""

import asyncio
import base64
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greylag.app.cli.context import connect
from greylag.app.client.console import As, Document, Json, RemoteRefusal, TaskArgument, emit, note
from greylag.app.client.thread import exit_code, follow, summary
from greylag.domain.errors import RequestRefused

if TYPE_CHECKING:
    from greylag.app.client.session import Session

_MOST_PATCH_BYTES = 8 * 1024 * 1024
_REASON = "taken over by hand"


def checkout(
    task: TaskArgument,
    into: Annotated[Path | None, typer.Option(help="The folder to make (default: named for the task, here).")] = None,
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Take a task over: its agent stops, and its change so far comes here as a branch, with prompt and transcript."""
    with connect(as_person) as session:
        seen = session.get(f"/tasks/{task}/messages")
        found = session.post(f"/tasks/{task}/takeover", {})
        after = seen[-1]["sequence"] if seen else 0
        found = follow(session, found["task_id"], after=after, quiet=as_json)
        if found["taken_over_by"] != session.person:
            raise RequestRefused(
                "GL-STEER-010", f"{found['task_id']} is `{found['status']}`: it can't be taken over any more.",
                f"see where it stands: `greylag task show {found['task_id']}`.",
            )  # fmt: skip
        short = found["task_id"].removeprefix("task_")
        folder = (into or Path(f"{found['repository']}-{short[:8]}")).absolute()
        _make(session, found, folder)
    document = {"path": str(folder), "branch": f"greylag/{short}", "base_commit": found["base_commit"],
                "task_id": found["task_id"]}  # fmt: skip
    emit(document, as_json, _told)


def handback(
    task: TaskArgument,
    folder: Annotated[Path, typer.Argument(help="The folder that `greylag task checkout` made.")] = Path(),
    as_person: As = "",
    detach: Annotated[bool, typer.Option("--detach", help="Don't watch the checks and the build.")] = False,
    as_json: Json = False,
) -> None:
    """Hand back what stands in your working copy, committed or not: it is checked and reviewed as every change."""
    # A third of a second of libraries that other commands don't need.
    from greylag.adapters.forge.port import CaptureLimits  # noqa: PLC0415
    from greylag.adapters.forge.working_copy import about_working_copy, read_working_copy  # noqa: PLC0415

    folder = folder.absolute()
    about = about_working_copy(folder)
    with connect(as_person) as session:
        found = session.get(f"/tasks/{task}")
        if found["task_id"] != about.get("task_id"):
            raise RequestRefused(
                "GL-STEER-011", f"`{folder}` is a working copy of {about.get('task_id', '')[:60]!r}, not of"
                f" {found['task_id']}.", f"name that one's folder: `greylag task handback {found['task_id']} FOLDER`.",
            )  # fmt: skip
        base = about.get("base_commit", "")
        capture = asyncio.run(read_working_copy(folder, base, CaptureLimits(patch_bytes=_MOST_PATCH_BYTES)))
        for warning in capture.warnings:
            note(f"look at this: {warning}")
        if not as_json:
            files = "1 file" if len(capture.files) == 1 else f"{len(capture.files)} files"
            note(f"handing back {files}, +{capture.added_lines} -{capture.removed_lines}")
        seen = session.get(f"/tasks/{task}/messages")
        body = {"patch": base64.b64encode(capture.patch).decode(), "base_commit": base}
        answer = session.post(f"/tasks/{task}/handback", body)
        if detach and not session.own:
            emit(answer, as_json, summary)
            return
        answer = follow(session, answer["task_id"], after=seen[-1]["sequence"] if seen else 0, quiet=as_json)
    emit(answer, as_json, summary)
    raise typer.Exit(exit_code(answer))


def _make(session: "Session", found: Document, folder: Path) -> None:
    from greylag.adapters.forge.port import Author, CommitText  # noqa: PLC0415 - as above
    from greylag.adapters.forge.working_copy import WorkingCopy, make_working_copy  # noqa: PLC0415 - as above

    task_id = found["task_id"]
    message = f"{found['title']}\n\nThe change so far, as it was taken over.\n\nTask: {task_id}\n"
    copy = WorkingCopy(
        url=session.git_url(found["repository"]),
        branch=f"greylag/{task_id.removeprefix('task_')}",
        base_commit=found["base_commit"],
        patch=_content(session, task_id, "diff") if found["change_id"] else b"",
        text=CommitText(
            Author("greylag", "greylag@greylag.invalid"), message, datetime.fromisoformat(found["changed_at"])
        ),
        about={"task_id": task_id, "base_commit": found["base_commit"], "platform": session.url},
        notes={
            "prompt.txt": _content(session, task_id, "prompt"),
            "transcript.jsonl": _content(session, task_id, "transcript"),
        },
    )
    asyncio.run(make_working_copy(copy, folder))


def _content(session: "Session", task_id: str, kind: str) -> bytes:
    """Return content of the task, each a decision of its own; empty where there is none."""
    try:
        return session.fetch(f"/tasks/{task_id}/content/{kind}", reason=_REASON)
    except RemoteRefusal as error:
        if error.code != "GL-TASK-006":
            raise
        return b""


def _told(document: Document) -> str:
    path = document["path"]
    return "\n".join(
        [
            f"{path} holds {document['branch']}: the change so far on {document['base_commit'][:12]}.",
            f"  what the agent was told: {path}/.git/greylag/prompt.txt",
            f"  what it did: {path}/.git/greylag/transcript.jsonl",
            f"  when you are done, committed or not: greylag task handback {document['task_id']} {path}",
        ]
    )
