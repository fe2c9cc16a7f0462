"""One showing: what the people in it do, what was seen, and whether all of it was as it must be."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

from greylag.app.audit import decisions_of, open_evidence, verify_ledger
from greylag.app.client.console import say
from greylag.app.client.session import Session
from greylag.app.client.thread import follow
from greylag.app.demo.chatroom import Chatroom
from greylag.domain.errors import IntegrityError
from greylag.domain.stages import Stage

_LOOK_SECONDS = 0.2
_TAKEN_SECONDS = 60.0
#: So many kinds of asset a task through every stage leaves at least.
_KINDS = 9


class Demo:
    """What a showing needs: a session on a platform, and a list of what was seen. Ada asks, Grace approves.

    With a ``room`` they do it there, and what is told is what the room shows. Prints nothing where ``quiet``. Raises
    IntegrityError ``GL-DEMO-001`` as soon as something isn't as it must be.
    """

    def __init__(self, home: Path, session: Session, quiet: bool, room: Chatroom | None = None) -> None:
        self.home = home
        self.session = session
        self.quiet = quiet
        self.room = room
        self.seen: dict[str, Any] = {}
        self._after: dict[str, int] = {}

    def tell(self, text: str) -> None:
        """Print ``text``."""
        if not self.quiet:
            say(text)

    def headline(self, text: str) -> None:
        """Begin a new part."""
        self.tell(f"\n── {text}")

    def act_as(self, person: str) -> None:
        """Count what follows as ``person``'s."""
        self.session.act_as(person)

    def rest(self, task_id: str) -> dict[str, Any]:
        """Follow the thread until it rests and return the task."""
        if self.room is not None:
            return self._rest_in(self.room, task_id)

        def remember(sequence: int) -> None:
            self._after[task_id] = sequence

        task = follow(self.session, task_id, after=self._after.get(task_id, 0), quiet=self.quiet, remember=remember)
        return dict(task)

    def _rest_in(self, room: Chatroom, task_id: str) -> dict[str, Any]:
        """Follow the thread as the room shows it, until the task rests and all of it has arrived there."""
        while True:
            task = self.session.get(f"/tasks/{task_id}")
            told = self.session.get(f"/tasks/{task_id}/conversations")
            if not self.quiet:
                for line in room.news(task_id):
                    say(line)
            if task["resting"] and all(each["delivered"] for each in told):
                return dict(task)
            time.sleep(_LOOK_SECONDS)

    def reply(self, task: dict[str, Any], text: str) -> dict[str, Any]:
        """Say more as Ada; return the task once it rests again with that worked in."""
        if self.room is not None:
            self.room.say("ada", task["task_id"], text)
            self._until(task["task_id"], lambda now: now["follow_ups"] > task["follow_ups"])
        else:
            self.act_as("ada")
            self.session.post(f"/tasks/{task['task_id']}/replies", {"text": text})
        return self.rest(task["task_id"])

    def _until(self, task_id: str, seen: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the platform has taken what was said in the room."""
        for _ in range(round(_TAKEN_SECONDS / _LOOK_SECONDS)):
            if seen(self.session.get(f"/tasks/{task_id}")):
                return
            time.sleep(_LOOK_SECONDS)
        self.must("taken", False, "what is said in the room reaches the task")

    def ask(self, text: str, command: tuple[str, ...] = ()) -> dict[str, Any]:
        """Ask as Ada, with the program of a ``command`` agent if there is one; return the task once it rests."""
        self.act_as("ada")
        if self.room is not None and not command:
            return self.rest(self.room.ask("ada", text))
        body: dict[str, object] = {"text": text}
        if command:
            body |= {"agent": "command", "command": list(command)}
        return self.rest(self.session.post("/tasks", body)["task_id"])

    def approve(self, task: dict[str, Any]) -> dict[str, Any]:
        """Approve as Grace exactly what is up for review; return the task once it rests again."""
        if task["status"] != "in_review":
            cause = task["outcome"] or f"the task is {task['status']}"
            remedy = task["remedy"] or "run `greylag doctor`."
            raise IntegrityError(task["code"] or "GL-DEMO-001", f"nothing came up for review: {cause}", remedy)
        self.act_as("grace")
        if self.room is not None:
            self.room.click("grace", task["task_id"], "Approve")
            self._until(task["task_id"], lambda now: bool(now["approved_by"]))
        else:
            self.session.post(f"/tasks/{task['task_id']}/approval", {"subject": task["subject"]})
        return self.rest(task["task_id"])

    def stop(self, task: dict[str, Any]) -> dict[str, Any]:
        """Stop as Ada; return the task once it has ended."""
        self.act_as("ada")
        self.session.post(f"/tasks/{task['task_id']}/stop", {"reason": "seen enough"})
        return self.rest(task["task_id"])

    def read(self, task: dict[str, Any], kind: str) -> bytes:
        """Read content of a task as Grace; each reading is a decision and on record."""
        self.act_as("grace")
        return self.session.fetch(f"/tasks/{task['task_id']}/content/{kind}")

    def must(self, name: str, value: bool, what: str) -> None:
        """Note that ``what`` was seen; anything else ends the demo with an error."""
        self.seen[name] = value
        if not value:
            raise IntegrityError("GL-DEMO-001", f"the demo did not show that {what}.", "run `greylag doctor`.")


def show_evidence(demo: Demo, task: dict[str, Any], stages: Set[Stage]) -> None:
    """Check the sealed evidence of ``task`` and that decisions about it were made at exactly ``stages``."""
    demo.headline("What is on record")
    envelope = demo.read(task, "evidence")
    key = bytes.fromhex(demo.session.get("/ledger/checkpoint")["public_key"])
    predicate = open_evidence(envelope, key)["predicate"]
    runs = ", ".join(f"{run['name']} exit {run['exitCode']}" for run in predicate["verifierRuns"])
    demo.tell(f"  evidence: signature good; {runs}; approved by {predicate['approvals'][-1]['by']};")
    demo.tell(f"            {len(predicate['ledger']['proofs'])} decisions proven to be in the ledger")
    decisions = decisions_of(demo.home, task["task_id"])
    seen = [stage for stage in Stage if any(each["stage"] == stage for each in decisions)]
    demo.tell(f"  decisions: {len(decisions)}, at the stages {', '.join(seen)}")
    count = "each of the twelve stages" if len(stages) == len(Stage) else f"each of {len(stages)} stages and no other"
    demo.must("stages", set(seen) == stages, f"a decision was made at {count}")


def show_whereabouts(demo: Demo, task: dict[str, Any]) -> None:
    """Look up where everything of ``task`` is, and ask why none of it could have gone to a model elsewhere."""
    demo.headline("Where it is, and why it is nowhere else")
    demo.act_as("grace")
    found = demo.session.get("/map", task=task["task_id"])
    share, places = found["coverage"], sorted({name for each in found["located"] for name in each["where"]["places"]})
    kinds = sorted({each["asset"]["kind"] for each in found["located"]})
    demo.tell(
        f"  {share['observed_percent']} % of {share['assets']} assets seen at their place; places: {', '.join(places)}"
    )
    demo.tell(f"  kinds: {', '.join(kinds)}")
    demo.must("located", share["unknown"] == 0 and len(kinds) >= _KINDS, "everything of the task is at a known place")
    flow = {"stage": "prompt", "asset": "prompt", "level": "internal", "target_kind": "endpoint", "target": "anthropic"}
    explained = demo.session.get("/policy/explain", **flow)["explanation"]
    verdict, remedies = explained["verdict"], explained["remedies"]
    demo.tell(f"  a prompt to the endpoint `anthropic`: denied by {', '.join(verdict['rules'])}")
    demo.tell(f"  the least that can be done: {remedies[0]['text']}" if remedies else "")
    demo.must("explained", not verdict["permitted"] and bool(remedies), "a denial comes with a way out")


def show_ledger(demo: Demo) -> None:
    """Verify the ledger from its files, then change one byte in a copy and see that it is found."""
    demo.headline("The ledger")
    report = verify_ledger(demo.home)
    demo.tell(f"  intact: {report['entries']} entries, each signed; root {report['root'][:16]}…")
    demo.must("ledger_intact", report["intact"], "the ledger is intact")
    with tempfile.TemporaryDirectory(prefix="greylag-tampered-") as folder:
        copy = Path(folder) / "home"
        shutil.copytree(
            demo.home, copy, ignore=shutil.ignore_patterns("sandbox", "gateway", "workspaces", "forge", "deploy")
        )
        _change_one_byte(copy / "cells" / "local" / "ledger.db")
        tampered = verify_ledger(copy)
    demo.tell(f"  one byte changed in a copy: NOT INTACT, {tampered['problem']}")
    demo.must("tampering_found", not tampered["intact"], "one changed byte is found")


def _change_one_byte(database: Path) -> None:
    """Do what somebody with the database file can do: take the triggers away and change one byte of one entry."""
    connection = sqlite3.connect(database)
    with connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        rows = connection.execute("SELECT position, body FROM greylag_ledger_entry ORDER BY position").fetchall()
        position, body = next((place, bytes(raw)) for place, raw in rows if b"local" in bytes(raw))
        changed = body.replace(b"local", b"locaL", 1)
        connection.execute("UPDATE greylag_ledger_entry SET body = ? WHERE position = ?", (changed, position))
    connection.close()
