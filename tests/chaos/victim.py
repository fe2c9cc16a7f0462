"""The platform as `greylag up` runs it, in a process that kills itself at one exact call where it is told to.

    python victim.py FOLDER ['{"site": "event", "when": "after", "kind": "ChangeMerged", "nth": 1}']

``FOLDER/home`` is the home; each event that stands in the log is told in ``FOLDER/journal``, one line each.
"""

import functools
import inspect
import json
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from greylag.adapters.agents.backends.command import CommandAgent
from greylag.adapters.agents.port import AgentResult, Assignment
from greylag.adapters.chat.backends.slack import chat as slack
from greylag.adapters.chat.backends.slack.calls import Calls
from greylag.adapters.deploy.backends.process import ProcessDeployer
from greylag.adapters.engine.backends.dbos import DbosEngine
from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.store.backends.sql_chats import SqlChatStore
from greylag.adapters.store.backends.sql_deployments import SqlDeploymentStore
from greylag.adapters.store.backends.sql_directory import SqlDirectory
from greylag.adapters.store.backends.sql_events import SqlEventStore
from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.backends.sql_threads import SqlThreadStore
from greylag.adapters.vault.backends.local import LocalVault
from greylag.app import bootstrap
from greylag.app.cli.context import set_home
from greylag.app.cli.serving import run_platform
from greylag.delivery.conversing.front import Front
from greylag.domain.errors import GreylagError

#: Where it can die: everything that leaves a trace outside the process.
SITES: dict[str, tuple[type, str]] = {
    "event": (SqlEventStore, "append"), "say": (SqlThreadStore, "say"), "ledger": (SqlLedgerStore, "append"),
    "live": (SqlDeploymentStore, "record_deployment"), "repository": (SqlDirectory, "add_repository"),
    "vault": (LocalVault, "put"), "create": (BuiltinForge, "create"), "checkout": (BuiltinForge, "checkout"),
    "capture": (BuiltinForge, "capture"), "push": (BuiltinForge, "push"), "merge": (BuiltinForge, "merge"),
    "start": (DbosEngine, "start"), "wake": (DbosEngine, "wake"), "session": (LocalGateway, "open"),
    "sandbox": (BubblewrapSandbox, "start"), "deploy": (ProcessDeployer, "apply"),
    "retire": (ProcessDeployer, "stop"),
    "take": (Front, "take"), "arrive": (SqlChatStore, "arrive"), "settle": (SqlChatStore, "settle"),
    "bind": (SqlChatStore, "bind"), "sending": (SqlChatStore, "sending"), "sent": (SqlChatStore, "sent"),
    "note": (SqlChatStore, "put_note"), "post": (slack.SlackChat, "post"), "mark": (slack.SlackChat, "mark"),
    "call": (Calls, "call"),
}  # fmt: skip
#: A program that works in the place of Claude Code, as a JSON list: then no model is needed.
AGENT = "GREYLAG_CHAOS_AGENT"
#: As the real one waits, but for Slack's pace of a message a second.
_TIMING = slack.Timing(pace_seconds=0.2, ping_seconds=1.0, lost_seconds=5.0, look_again_seconds=2.0)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # the signal is on its way; nothing more may happen


class Fuse:
    """Counts the calls of one site and ends the process before or after one of them."""

    def __init__(self, site: str, when: str, kind: str = "", nth: int = 1) -> None:
        self._when, self._kind, self._left = when, kind, nth
        owner, name = SITES[site]
        self._wrap(owner, name)

    def _wrap(self, owner: type, name: str) -> None:
        inner = getattr(owner, name)

        @functools.wraps(inner)
        async def later(*arguments: Any, **named: Any) -> Any:
            mine = self._counted(arguments, "before")
            answer = await inner(*arguments, **named)
            if mine:
                die()
            return answer

        @functools.wraps(inner)
        def now(*arguments: Any, **named: Any) -> Any:
            mine = self._counted(arguments, "before")
            answer = inner(*arguments, **named)
            if mine:
                die()
            return answer

        setattr(owner, name, later if inspect.iscoroutinefunction(inner) else now)

    def _counted(self, arguments: tuple[Any, ...], early: str) -> bool:
        """Count this call; die now where the fuse is for ``early``. Whether it is the one, when it has ended."""
        if self._kind and not any(type(each).__name__ == self._kind for each in arguments):
            return False
        self._left -= 1
        if self._left == 0 and self._when == early:
            die()
        return self._left == 0


def tell_events(journal: Path) -> None:
    """Write a line for each event once it is durable; after a crash in between, the repeated append tells it."""
    handle = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    append = SqlEventStore.append

    @functools.wraps(append)
    def told(store: SqlEventStore, task_id: Any, event: Any, **named: Any) -> Any:
        recorded = append(store, task_id, event, **named)
        line = {"task": task_id, "kind": type(recorded.event).__name__, "key": recorded.key, "at": time.monotonic()}
        os.write(handle, json.dumps(line).encode() + b"\n")
        return recorded

    SqlEventStore.append = told  # type: ignore[method-assign]


def employ(command: tuple[str, ...]) -> None:
    """Let ``command`` do what is asked for in chat, in Claude Code's place; a chat's words never name a program."""

    class Employed(CommandAgent):
        def __init__(self, binary: Path | None) -> None:
            super().__init__()
            self.name = "claude"

        async def work(self, assignment: Assignment) -> AgentResult:
            return await super().work(replace(assignment, command=command))

    bootstrap.ClaudeAgent = Employed  # type: ignore[misc, assignment]


def main() -> None:
    folder = Path(sys.argv[1])
    tell_events(folder / "journal")
    slack.Timing = functools.partial(slack.Timing, **asdict(_TIMING))  # type: ignore[misc, assignment]
    if os.environ.get(AGENT):
        employ(tuple(json.loads(os.environ[AGENT])))
    if len(sys.argv) > 2:
        Fuse(**json.loads(sys.argv[2]))
    set_home(folder / "home")
    try:
        run_platform(0, False)
    except GreylagError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
