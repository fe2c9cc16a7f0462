"""The main job end to end on this machine: no account, no key. Everything is real but the model, which is scripted."""

import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from greylag.app.audit import decisions_of, open_evidence, verify_ledger
from greylag.app.client.console import RemoteRefusal, clean, say
from greylag.app.client.session import Session
from greylag.app.client.thread import follow
from greylag.app.example import NAME, PEOPLE, Call, example_body, example_calls, example_settings
from greylag.app.home import prepare_home
from greylag.app.settings import ServerSettings, Settings
from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.stages import Stage

BUG = "the skip button fires twice on a slow network, fix it"
FOLLOW_UP = "make the debounce 300 ms"
FEATURES = {
    "about-this-song": "add About This Song: a card of context for a track",
    "prompted-playlists": "add Prompted Playlists: a playlist from a sentence",
    "page-match": "add Page Match: from a page of a book to the second in the audiobook",
}


class _Demo:
    """One showing: what was seen, and whether all of it was as it must be."""

    def __init__(self, home: Path, session: Session, quiet: bool) -> None:
        self.home = home
        self.session = session
        self.quiet = quiet
        self.seen: dict[str, Any] = {}
        self._after: dict[str, int] = {}

    def tell(self, text: str) -> None:
        if not self.quiet:
            say(text)

    def headline(self, text: str) -> None:
        self.tell(f"\n── {text}")

    def act_as(self, person: str) -> None:
        self.session.act_as(person)

    def rest(self, task_id: str) -> dict[str, Any]:
        """Follow the thread until it rests and return the task."""

        def remember(sequence: int) -> None:
            self._after[task_id] = sequence

        task = follow(self.session, task_id, after=self._after.get(task_id, 0), quiet=self.quiet, remember=remember)
        return dict(task)

    def ask(self, text: str) -> dict[str, Any]:
        self.act_as("ada")
        task = self.session.post("/tasks", {"text": text})
        return self.rest(task["task_id"])

    def approve(self, task: dict[str, Any]) -> dict[str, Any]:
        self.act_as("grace")
        self.session.post(f"/tasks/{task['task_id']}/approval", {"subject": task["subject"]})
        return self.rest(task["task_id"])

    def must(self, name: str, value: bool, what: str) -> None:
        """Note that ``what`` was seen; anything else ends the demo with an error."""
        self.seen[name] = value
        if not value:
            raise IntegrityError("GL-DEMO-001", f"the demo did not show that {what}.", "run `greylag doctor`.")


def run_demo(feature: str, real: bool, keep: Path | None, as_json: bool) -> int:
    """Show it and return the exit code. Raises RequestRefused ``GL-DEMO-002`` for an unknown feature."""
    if feature and feature not in FEATURES:
        known = ", ".join(f"`{name}`" for name in FEATURES)
        raise RequestRefused("GL-DEMO-002", f"there is no feature {feature!r} to show.", f"choose one of {known}.")
    began = time.monotonic()
    with _home(keep) as home:
        settings = example_settings(Settings(server=ServerSettings(port=0)))
        with Session(home, "grace", settings) as session:
            demo = _Demo(home, session, quiet=as_json)
            for name, roles in PEOPLE.items():
                session.post("/people", {"name": name, "roles": roles})
            if real:
                from greylag.app.demo_real import show_real_package  # noqa: PLC0415 - only this demo needs it

                show_real_package(demo)
            else:
                _show_example(demo, feature)
        _show_ledger(demo)
    seconds = time.monotonic() - began
    if as_json:
        say(json.dumps({"ok": True, "seconds": round(seconds, 1), "seen": demo.seen}, indent=2))
    else:
        say(f"\nAll of it was as it must be. {seconds:.0f} s, model: scripted (no real model was called).")
    return 0


def _show_example(demo: _Demo, feature: str) -> None:
    demo.headline("A repository and its first release")
    demo.session.post("/repositories", example_body())
    first = demo.approve(demo.ask(f"release {NAME} as it is"))
    demo.must("first_release", first["status"] == "released", "the repository is released as it stands")
    job = feature or "skip-fix"
    demo.headline("The service before")
    _exercise(demo, job, "before")
    if feature:
        demo.headline("A feature, asked for in a sentence")
        task = demo.ask(FEATURES[feature])
    else:
        demo.headline("A bug, told in a sentence")
        task = demo.ask(BUG)
        attempts = [run["status"] for run in task["runs"]]
        demo.must("turned_back", attempts == ["turned_back", "passed"], "a wrong attempt is turned back, then mended")
        _refuse_own_approval(demo, task)
        demo.headline("A follow-up in the same thread")
        demo.act_as("ada")
        demo.session.post(f"/tasks/{task['task_id']}/replies", {"text": FOLLOW_UP})
        stale = task["subject"]
        task = demo.rest(task["task_id"])
        demo.must("new_subject", task["subject"] != stale, "a new change is a new digest to approve")
    demo.must("in_review", task["status"] == "in_review", "the change is up for review")
    demo.headline("Somebody else approves exactly this")
    task = demo.approve(task)
    demo.must("released", task["status"] == "released", "the approved build is released")
    demo.headline("The service after")
    _exercise(demo, job, "after")
    _show_evidence(demo, task)


def _refuse_own_approval(demo: _Demo, task: dict[str, Any]) -> None:
    demo.headline("Who asked can't approve")
    demo.act_as("ada")
    try:
        demo.session.post(f"/tasks/{task['task_id']}/approval", {"subject": task["subject"]})
    except RemoteRefusal as error:
        demo.tell(f"  {error.code}: {error.message}\n  next: {error.remedy}")
        demo.must("own_approval_refused", error.code in ("GL-APPROVE-001", "GL-PERSON-002"), "asking is not approving")
        return
    demo.must("own_approval_refused", False, "asking is not approving")


def _exercise(demo: _Demo, job: str, state: str) -> None:
    live = demo.session.get("/releases", repository=NAME)
    url = next(each["url"] for each in live if each["environment"] == "production")
    with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
        for number, call in enumerate(example_calls(job)):
            _call(demo, client, call, state, number)


def _call(demo: _Demo, client: httpx.Client, call: Call, state: str, number: int) -> None:
    answer = client.request(call.method, call.path, json=call.body) if call.body is not None else client.get(call.path)
    status, place, expected = call.expected[state]
    value: Any = answer.json()
    for key in place.split("."):
        value = value[int(key)] if isinstance(value, list) else value.get(key)
    body = json.dumps(call.body, ensure_ascii=False) if call.body is not None else ""
    short = body if len(body) <= 72 else body[:71] + "…"
    demo.tell(
        clean(f"  {call.method} {call.path} {short}".rstrip()) + f"\n      → {answer.status_code} {place} = {value!r}"
    )
    right = (answer.status_code, value) == (status, expected)
    demo.must(f"{state}_{number}", right, f"{call.method} {call.path} answers {status} {place} = {expected!r}")


def _show_evidence(demo: _Demo, task: dict[str, Any]) -> None:
    demo.headline("What is on record")
    demo.act_as("grace")
    envelope = demo.session.fetch(f"/tasks/{task['task_id']}/content/evidence")
    key = bytes.fromhex(demo.session.get("/ledger/checkpoint")["public_key"])
    predicate = open_evidence(envelope, key)["predicate"]
    runs = ", ".join(f"{run['name']} exit {run['exitCode']}" for run in predicate["verifierRuns"])
    demo.tell(f"  evidence: signature good; {runs}; approved by {predicate['approvals'][-1]['by']};")
    demo.tell(f"            {len(predicate['ledger']['proofs'])} decisions proven to be in the ledger")
    decisions = decisions_of(demo.home, task["task_id"])
    stages = [stage for stage in Stage if any(each["stage"] == stage for each in decisions)]
    demo.tell(f"  decisions: {len(decisions)}, at the stages {', '.join(stages)}")
    demo.must("stages", set(stages) == set(Stage), "a decision was made at each of the twelve stages")


def _show_ledger(demo: _Demo) -> None:
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


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        prepare_home(keep.absolute())
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="greylag-demo-"))
    try:
        prepare_home(folder / "home")
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
