"""Uploading: where settings say so and policy permits it, a card's build and report are put beside it as files.

The link on the card is what always works; a file that can't be put there is no reason to hold up the thread.
"""

import asyncio
import logging

from greylag.adapters.chat.port import Chat
from greylag.adapters.store.port import ThreadMessage
from greylag.delivery.cell import PLATFORM, Cell, label_of
from greylag.delivery.conversing.rendering import place_of
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, PolicyRefused
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target

_log = logging.getLogger(__name__)
MAX_BYTES = 20 * 1024 * 1024
#: How often a file is tried where the card beside it was taken each time.
_TRIES = 5
_KNOWN = 1000


class Uploads:
    """Puts files beside cards. ``upload_seconds`` bounds one call."""

    def __init__(self, cell: Cell, upload_seconds: float = 120.0) -> None:
        self._cell = cell
        self._seconds = upload_seconds
        self._tries: dict[str, int] = {}

    async def put(
        self, chat: Chat, conversation: Conversation, task: Task, message: ThreadMessage, *, uncertain: bool
    ) -> None:
        """Upload what the card is about, each file once. Raises BackendError where trying again may help."""
        change = task.change
        if not chat.capabilities.files or change is None or message.key != f"card/{change.change_id}":
            return
        for kind, name, reference in _files(task):
            if reference.size_bytes > MAX_BYTES:
                _log.info("the %s of %s is too large to be put into a chat", kind, task.task_id)
                continue
            await self._upload(chat, conversation, task, (kind, name, reference), uncertain=uncertain)

    async def _upload(
        self, chat: Chat, conversation: Conversation, task: Task, file: tuple[str, str, Reference], *, uncertain: bool
    ) -> None:
        kind, name, reference = file
        key = f"{task.task_id}/{kind}/{reference.digest[7:31]}"
        place = place_of(conversation)
        if self._tries.get(f"{place}/{key}", 0) >= _TRIES:  # given up before, while another file was tried
            return
        # Not looked into again: whatever was found in it has joined the task's label when it was made.
        asset = Asset(
            kind, label_of(task), self._cell.region, reference.digest, reference.size_bytes, ("file_names",)
        )  # fmt: skip
        target = Target("chat", chat.where)
        hop = Hop(
            Stage.CHAT, PLATFORM, "upload", asset, target, f"upload/{place}/{key}", task.task_id, task.repository or ""
        )  # fmt: skip
        try:
            permit = await self._cell.admit(hop)
        except PolicyRefused as error:
            _log.info("the %s of %s stays a link in %s: %s", kind, task.task_id, chat.where, error.decision_id)
            return
        try:
            content = await self._cell.fetch(task, reference)
            async with asyncio.timeout(self._seconds):
                await chat.upload(permit, conversation, name, content, key, uncertain=uncertain)
        except Exception as error:  # noqa: BLE001 - whatever a file breaks on, the card beside it has arrived
            self._give_up_or_raise(f"{place}/{key}", task, kind, error)
            return
        await asyncio.to_thread(self._cell.door.observe, permit, "sent", {"size_bytes": len(content)})

    def _give_up_or_raise(self, file: str, task: Task, kind: str, error: Exception) -> None:
        again = isinstance(error, TimeoutError) or (isinstance(error, BackendError) and error.transient)
        tries = self._tries.pop(file, 0) + 1 if again else _TRIES
        while len(self._tries) >= _KNOWN:
            self._tries.pop(next(iter(self._tries)))
        self._tries[file] = tries
        if tries < _TRIES:
            raise BackendError(
                "GL-CHAT-005",
                f"the {kind} of {task.task_id} could not be put into the chat ({type(error).__name__}).",
                "it is tried again by itself; the card's link works meanwhile.",
                transient=True,
            ) from error
        _log.warning("the %s of %s stays a link: %s", kind, task.task_id, error)


def _files(task: Task) -> list[tuple[str, str, Reference]]:
    found: list[tuple[str, str, Reference]] = []
    if task.build is not None:
        found.append(("build", _plain(task.build.name), task.build.artifact))
    if task.run is not None and task.run.report is not None:
        found.append(("report", "report.txt", task.run.report))
    return found


def _plain(name: str) -> str:
    """Return a file name that no chat and no disk takes for anything else."""
    kept = "".join(sign if sign.isalnum() or sign in "._-+" else "_" for sign in name)[-120:]
    return kept.lstrip(".") or "build"
