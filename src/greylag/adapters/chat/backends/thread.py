"""The built-in thread: what console and web show. Content rests in the region's vault, order in the store."""

from datetime import datetime

from greylag.adapters.chat.port import Said
from greylag.adapters.store.port import Spoken, ThreadStore
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit


class BuiltinThread:
    """Says things in the platform's own thread, for places where no chat vendor may see content."""

    name = "thread"

    def __init__(self, threads: ThreadStore, region: str) -> None:
        self._threads = threads
        self.where = f"thread:{region}"

    def say(self, permit: Permit, said: Said, at: datetime) -> None:
        """Add the message once per key. See `greylag.adapters.chat.port.Thread.say`."""
        permit.require(Stage.CHAT, self.where, said.body.digest)
        spoken = Spoken(said.author, said.kind, said.key, said.offers)
        self._threads.say(said.task_id, spoken, body=said.body, decision_id=permit.decision_id, at=at)
