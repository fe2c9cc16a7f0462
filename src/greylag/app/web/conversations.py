"""Where a task is talked about, and whether all of it has arrived there."""

from dataclasses import asdict

from fastapi import APIRouter

from greylag.app.web.api import Who, Wired

router = APIRouter(prefix="/api/v1")


@router.get("/tasks/{task_id}/conversations")
def conversations(task_id: str, platform: Wired, who: Who) -> list[dict[str, object]]:
    """List the conversations of a task; ``delivered`` says that all that was said in its thread stands there too."""
    task = platform.cell.events.find(task_id)
    store = platform.cell.chats
    if store is None:
        return []
    found = store.conversations(task.task_id)
    due = store.due({each.source for each in found}, 1000, region=platform.cell.region) if found else ()
    behind = {each.conversation for each in due if each.task_id == task.task_id}
    return [{**asdict(each), "delivered": each not in behind} for each in found]
