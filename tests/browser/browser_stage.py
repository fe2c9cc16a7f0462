"""What the browser tests stand on: a platform in this process, and windows that hear everything a page complains of."""

import itertools
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from greylag.adapters.store.port import Spoken
from greylag.adapters.vault.backends.local import LocalVault
from greylag.app.bootstrap import open_stores
from greylag.app.example import example_body, example_settings
from greylag.app.install.home import prepare_home, read_operator_token
from greylag.app.server import BackgroundServer
from greylag.app.settings import BoundSettings, ServerSettings, Settings
from greylag.app.web.identity import COOKIE
from greylag.domain.conversation import Offer
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from tests.support.permits import permit

PEOPLE = {
    "ada": ["requester"], "grace": ["requester", "reviewer", "operator"], "lin": ["reviewer"], "otto": ["auditor"],
}  # fmt: skip
PHONE = {"width": 360, "height": 740}
REST_MS = 120_000
CHANGE: Sequence[str] = ("sh", "-c", "echo new > new.txt")
_AUDIT = (Path(__file__).parent / "audit.js").read_text()
#: Whatever sets it has executed; the text of hostile strings tries to.
_TRIPWIRE = """
Object.defineProperty(window, "pwned", {set() { console.error("EXECUTED: window.pwned was set"); }});
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("CSP: " + event.violatedDirective + " " + event.blockedURI));
"""
SETTINGS = Settings(server=ServerSettings(port=0), bounds=BoundSettings(parallel_runs=4))
_NUMBERS = itertools.count(1)


@dataclass
class Site:
    """A running platform, its people's tokens, and short ways to prepare what a page then shows."""

    url: str
    operator: str
    home: Path
    tokens: dict[str, str] = field(default_factory=dict)
    _under_way: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def call(self, method: str, path: str, body: Any = None, *, by: str = "ada") -> httpx.Response:
        headers = {"authorization": f"Bearer {self.operator}", "x-greylag-as": by}
        url = f"{self.url}/api/v1{path}"
        return httpx.request(method, url, headers=headers, json=body, timeout=60, trust_env=False)

    def post(self, path: str, body: Any, *, by: str = "ada") -> Any:
        answer = self.call("POST", path, body, by=by)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.is_success, answer.text
        return answer.json()

    def repository(self, folder: Path, files: Mapping[str, str], **settings: Any) -> str:
        """Bring in a small repository under a name of its own; what verifies it is quick."""
        name = f"small{next(_NUMBERS)}"
        source = folder / name
        source.mkdir()
        for file, text in files.items():
            (source / file).write_text(text)
        for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "All there is")):
            subprocess.run(["git", *arguments], cwd=source, env=_GIT, check=True, capture_output=True, timeout=30)
        given = {"verify": [["true"]], "build": "archive", **settings}
        self.post("/repositories", {"name": name, "source": str(source), **given}, by="grace")
        return name

    def start(self, text: str, repository: str, command: Sequence[str]) -> str:
        """Ask as Ada, with a program as the agent; return the task's id."""
        body = {"text": text, "repository": repository, "agent": "command", "command": list(command)}
        return str(self.post("/tasks", body)["task_id"])

    def say(self, task_id: str, said: Sequence[tuple[str, str, tuple[Offer, ...]]]) -> None:
        """Put messages (kind, text and offers) into a thread, as the platform itself would if it were made to."""
        control, ledger, _ = open_stores(SETTINGS, self.home)
        vault = LocalVault(self.home / "cells" / "local" / "vault", "local")
        task = TaskId(task_id)
        try:
            for kind, text, offers in said:
                content = text.encode()
                allowed = permit(Stage.ARTIFACT, "vault:local", f"sha256:{sha256(content).hexdigest()}")
                body = vault.put(allowed, content, kind="message", subject=task, media_type="text/plain")
                spoken = Spoken("greylag", kind, f"said/{next(_NUMBERS)}", offers)
                control.threads.say(task, spoken, body=body, decision_id="", at=datetime.now(UTC))
        finally:
            ledger.close()
            control.close()

    def rest(self, task_id: str, seconds: float = 120.0) -> Any:
        return self.until(task_id, lambda task: bool(task["resting"]), seconds)

    def until(self, task_id: str, done: Callable[[Any], bool], seconds: float = 120.0) -> Any:
        end = time.monotonic() + seconds
        while not done(task := self.get(f"/tasks/{task_id}")):
            assert time.monotonic() < end, f"{task['status']} after {seconds} s"
            time.sleep(0.1)
        return task

    def waiting(self, command: Sequence[str] = ()) -> Any:
        """Return a task with a small change, or that of ``command``, that waits for a reviewer: the caller's own."""
        if command or not self._under_way:
            self.prepare(1, command or CHANGE)
        task = self.rest(self._under_way.pop())
        assert task["status"] == "in_review", task
        return task

    def prepare(self, count: int, command: Sequence[str] = CHANGE) -> None:
        """Have changes made while other things are tested, each in a repository of its own."""
        with tempfile.TemporaryDirectory(prefix="glweb-") as folder:
            for _ in range(count):
                name = self.repository(Path(folder), {"old.txt": "old\n"})
                self._under_way.append(self.start("please change something", name, command))


_GIT = {
    "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Somebody", "GIT_AUTHOR_EMAIL": "s@example.org",
    "GIT_COMMITTER_NAME": "Somebody", "GIT_COMMITTER_EMAIL": "s@example.org",
}  # fmt: skip


@contextmanager
def serving(
    settings: Settings = SETTINGS, people: Mapping[str, list[str]] = PEOPLE, prepared: int = 3
) -> Iterator[Site]:
    """A platform with the scripted model, the example repository, and people; taken down at the end.

    ``prepared`` changes are made meanwhile, for `Site.waiting`.
    """
    # Not pytest's own folder: sockets lie in the home, and their paths are short or nothing.
    with tempfile.TemporaryDirectory(prefix="glweb-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        prepare_home(home)
        server = BackgroundServer(example_settings(settings), home)
        site = Site(server.start(), read_operator_token(home), home)
        try:
            for name, roles in people.items():
                site.tokens[name] = site.post("/people", {"name": name, "roles": roles})["token"]
            site.post("/repositories", example_body(), by="grace")
            site.prepare(prepared)
            yield site
        finally:
            server.stop()


class Line:
    """A connection to the platform that can be cut and mended: passes bytes on from a port of its own."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._whole = True
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        self._whole = False
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._whole = True

    def close(self) -> None:
        """Cut, and listen no more."""
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                near = self._listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._to)) if self._whole else near
                self._open += [near, far]
                if far is near:
                    near.close()
                    continue
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), one:
            while data := one.recv(65536):
                other.sendall(data)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


class Window:
    """One person's browser. Hears console, errors, dialogs and requests to other places."""

    def __init__(self, browser: Browser, site: Site, shots: Path, *, phone: bool = False, **how: Any) -> None:
        how.setdefault("viewport", PHONE if phone else {"width": 1100, "height": 800})
        self.site = site
        self.context = browser.new_context(base_url=site.url, **how)
        self.context.set_default_timeout(15_000)
        self.context.add_init_script(_TRIPWIRE)
        self.page: Page = self.context.new_page()
        self.loads: list[str] = []
        self._shots = shots
        self._heard: list[str] = []
        self._provoked: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self._heard.append(f"page error: {error}"))
        self.page.on("dialog", lambda dialog: (self._heard.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("popup", lambda popup: self._heard.append(f"popup: {popup.url}"))
        self.page.on("framenavigated", lambda frame: self.loads.append(frame.url))
        self.page.on("response", self._look_at)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._heard.append(f"console: {message.text}")

    def _look_at(self, response: Response) -> None:
        if not response.url.startswith(self.site.url + "/"):
            self._heard.append(f"request to another place: {response.url}")
        elif response.headers.get("content-type", "").startswith("text/html"):
            policy = response.headers.get("content-security-policy", "")
            if "default-src 'none'" not in policy or "unsafe" in policy:
                self._heard.append(f"page without the policy: {response.url}")

    def provoked(self, pattern: str) -> None:
        """Say that what matches ``pattern`` is this test's own doing."""
        self._provoked.append(pattern)

    def complaints(self) -> list[str]:
        return [line for line in self._heard if not any(re.search(each, line) for each in self._provoked)]

    def close(self) -> None:
        self.context.close()

    def sign_in(self, person: str) -> None:
        """Begin signed in, by the cookie; the form has tests of its own."""
        self.context.add_cookies([{"name": COOKIE, "value": self.site.tokens[person], "url": self.site.url}])

    def open(self, task: Any) -> Page:
        """Open a task's thread, by the task or its id."""
        self.page.goto(f"/tasks/{task if isinstance(task, str) else task['task_id']}")
        return self.page

    def status(self, word: str, timeout: float = REST_MS) -> None:
        """Wait until the page says that the task stands at ``word``."""
        expect(self.page.locator("#status")).to_contain_text(word, timeout=timeout)

    def shot(self, name: str, *, whole: bool = True) -> None:
        self.page.screenshot(path=self._shots / f"{name}.png", full_page=whole)

    def audit(self) -> list[str]:
        """Return what a person with a keyboard, a screen reader, weak eyes or a phone would stumble over."""
        return list(self.page.evaluate(_AUDIT))

    def tab_to(self, name: str, most: int = 60) -> None:
        """Press Tab until the element called ``name`` has the focus; each stop on the way must be seen."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            stop = self.page.evaluate(_FOCUS)
            assert stop["seen"], f"the focus on {stop['name']!r} can't be seen"
            if name in stop["name"]:
                return
        raise AssertionError(f"{name!r} is not reached by Tab")


_FOCUS = """(() => {
  const at = document.activeElement, look = getComputedStyle(at), box = at.getBoundingClientRect();
  const label = at.labels && at.labels.length ? at.labels[0].textContent : "";
  const seen = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2 && box.width > 0
    && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight;
  return {name: (label || at.innerText || at.getAttribute("aria-label") || at.tagName).trim(), seen: seen};
})()"""
