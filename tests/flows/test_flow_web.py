"""The web thread and the API over HTTP, with a person's own token: what works, and what is refused."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flow_stage import CALC, PEOPLE, Stage, git, script, staged

HOSTILE = (
    "<script>alert(1)</script> \x1b[31mred \u202egnp.exe \u05e9\u05dc\u05d5\u05dd </pre><img src=x onerror=alert(2)>"
)
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Browser(httpx.Client):
    """Somebody's browser: keeps cookies, follows what it is told to, and says where a form came from."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(base_url=stage.url, timeout=30, trust_env=False, follow_redirects=True)
        self.origin = stage.url

    def send_form(self, path: str, **fields: str) -> httpx.Response:
        return self.post(path, data=fields, headers={"origin": self.origin})


@pytest.fixture
def ada(stage: Stage) -> Iterator[Browser]:
    with Browser(stage) as browser:
        assert "Sign out" in browser.send_form("/login", token=stage.tokens["ada"]).text
        yield browser


@pytest.fixture
def grace(stage: Stage) -> Iterator[Browser]:
    with Browser(stage) as browser:
        browser.send_form("/login", token=stage.tokens["grace"])
        yield browser


def events(stage: Stage, browser: Browser, task_id: str, after: int, until: int = 0) -> list[dict[str, Any]]:
    """Read the thread's stream until it ends, or until ``until`` messages came; as a reconnect from ``after``."""
    seen: list[dict[str, Any]] = []
    headers = {"last-event-id": str(after)}
    with browser.stream("GET", f"/tasks/{task_id}/stream", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: ") and not kind:
                seen.append(json.loads(line.removeprefix("data: ")))
                if until and len(seen) == until:
                    return seen
            elif not line:
                kind = ""
    return seen


def test_a_change_goes_from_the_form_to_the_merge_in_two_browsers(
    stage: Stage, ada: Browser, grace: Browser, tmp_path: Path
) -> None:
    name = stage.calc(tmp_path, {**CALC, "calc.py": CALC["calc.py"].replace("a - b", "a + b")})
    with Browser(stage) as nobody:
        assert nobody.get("/").url.path == "/login"
        assert nobody.send_form("/login", token="glp_wrong").status_code == 403
    asked = ada.send_form("/ask", text=f"release {name} as it is", repository=name)
    assert asked.url.path.startswith("/tasks/task_")
    task_id = asked.url.path.rsplit("/", 1)[1]
    task = stage.rest(task_id)

    assert task["subject"] in grace.get(f"/tasks/{task_id}").text
    assert "Approve, merge and release" not in ada.get(f"/tasks/{task_id}").text
    stale = grace.send_form(f"/tasks/{task_id}/approve", subject="sha256:" + "0" * 64)
    assert (stale.status_code, "GL-APPROVE-003" in stale.text) == (409, True)
    empty = grace.send_form(f"/tasks/{task_id}/approve", subject="")
    assert (empty.status_code, "GL-APPROVE-003" in empty.text) == (409, True)
    own = ada.send_form(f"/tasks/{task_id}/approve", subject=task["subject"])
    assert (own.status_code, "GL-PERSON-002" in own.text) == (403, True)
    foreign = grace.post(
        f"/tasks/{task_id}/approve", data={"subject": task["subject"]}, headers={"origin": "https://evil.example"}
    )
    assert (foreign.status_code, "GL-WEB-002" in foreign.text) == (403, True)
    assert stage.get(f"/tasks/{task_id}")["status"] == "in_review"

    assert grace.send_form(f"/tasks/{task_id}/approve", subject=task["subject"]).url.path == f"/tasks/{task_id}"
    assert stage.rest(task_id)["status"] == "merged"
    assert stage.get(f"/tasks/{task_id}")["approved_by"] == ["grace"]
    assert "Decide" not in grace.get(f"/tasks/{task_id}").text
    assert grace.send_form("/logout").url.path == "/login"
    assert grace.get("/").url.path == "/login"


def test_the_thread_is_live_and_a_reconnect_misses_nothing(stage: Stage, ada: Browser, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    steps = [f"echo step {number}; sleep 0.4" for number in range(4)]
    task_id = stage.start("adding subtracts, fix it", name, script(*steps, "exit 3"))
    arrived: list[float] = []
    first: list[dict[str, Any]] = []

    def watch() -> None:
        first.extend(events(stage, ada, task_id, 0, until=5))
        arrived.append(time.monotonic())

    watching = threading.Thread(target=watch)
    watching.start()
    stage.rest(task_id)
    rested = time.monotonic()
    watching.join(20)
    stage.post(f"/tasks/{task_id}/stop", {})
    stage.rest(task_id)
    rest = events(stage, ada, task_id, first[-1]["sequence"])

    assert arrived[0] < rested  # while the agent was still at it
    whole = stage.messages(task_id)
    assert [said["sequence"] for said in first + rest] == [said["sequence"] for said in whole]
    # The page offers what can be done; what to type at the command line for it is told there only.
    assert [said["text"] for said in first + rest] == [
        said["text"].split("\nAt the command line:")[0] for said in whole
    ]
    assert sum("step" in said["text"] for said in whole) >= 4


def test_hostile_text_is_only_ever_text(stage: Stage, ada: Browser, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    agent = [
        "python3", "-c",
        f"h = {HOSTILE!r}\nprint(h)\nprint('y' * 100_000)\n"
        "old = open('calc.py').read()\n"
        "open('calc.py', 'w').write(old.replace('a - b', 'a + b') + '# ' + h + '\\n')\n"
        "open('<img src=x onerror=alert(3)>.txt', 'w').write('z' * 100_000 + chr(10) + h)\n",
    ]  # fmt: skip
    task = stage.ask(f"fix it {HOSTILE}", name, agent)
    task_id = task["task_id"]
    assert task["status"] == "in_review", stage.thread(task_id)
    thread = f"/tasks/{task_id}"
    seen = ("", "/see/diff", "/see/report", "/see/transcript", "/see/prompt")
    pages = {path: ada.get(path) for path in ("/", *(thread + each for each in seen))}

    for path, page in pages.items():
        assert page.status_code == 200, path
        for danger in ("<script>alert", "<img", "\x1b", "\u202e"):
            assert danger not in page.text, (path, danger)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
    assert "&lt;script&gt;" in pages[thread].text
    assert "שלום" in pages[f"{thread}/see/diff"].text
    streamed = "".join(said["text"] for said in events(stage, ada, task_id, 0, until=4))
    assert "\u202e" not in streamed
    words = (("show", task_id), ("show", task_id, "--diff"), ("list",), ("watch", task_id))
    for arguments in (("task", *each) for each in words):
        shown = stage.cli(*arguments, "--as", "ada")
        assert shown.code == 0, shown.err
        assert not {"\x1b", "\u202e", "\r"} & set(shown.out), arguments
    raw = ada.get(f"/api/v1/tasks/{task_id}/content/diff")
    assert raw.headers["content-type"] == "application/octet-stream"
    assert "attachment" in raw.headers["content-disposition"]


def test_the_api_wants_a_token_and_the_right_one(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    with httpx.Client(base_url=f"{stage.url}/api/v1", trust_env=False) as client:

        def told(method: str, path: str, token: str = "", **more: Any) -> tuple[int, str]:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = client.request(method, path, headers=headers | more.pop("headers", {}), **more)
            return answer.status_code, answer.json()["code"] if answer.is_error else ""

        ask = {"text": "fix it", "repository": name, "agent": "command", "command": ["true"]}
        tokens = stage.tokens
        assert told("GET", "/tasks") == (401, "GL-AUTH-001")
        assert told("GET", "/tasks", "glp_nonsense") == (401, "GL-AUTH-001")
        assert told("GET", "/tasks", "glo_" + "0" * 64) == (401, "GL-AUTH-001")
        assert told("GET", "/tasks", stage.operator) == (400, "GL-AUTH-002")
        assert told("GET", "/tasks", tokens["otto"]) == (200, "")
        assert told("POST", "/tasks", tokens["otto"], json=ask) == (403, "GL-PERSON-002")
        # Nobody but the operator's own token may speak for others.
        assert told("GET", "/whoami", tokens["otto"], headers={"x-greylag-as": "grace"}) == (200, "")
        speaking = {"authorization": f"Bearer {tokens['otto']}", "x-greylag-as": "grace"}
        assert client.get("/whoami", headers=speaking).json()["name"] == "otto"
        assert told("POST", "/people", tokens["ada"], json={"name": "eve", "roles": ["operator"]}) == (
            403,
            "GL-AUTH-003",
        )
        assert told("POST", "/repositories", tokens["lin"], json={"name": "x", "source": "/"}) == (403, "GL-AUTH-003")
        assert told("POST", "/tasks", tokens["ada"], json={**ask, "surprise": 1}) == (422, "GL-WEB-004")
        assert told("POST", "/tasks", tokens["ada"], json={**ask, "text": 7}) == (422, "GL-WEB-004")
        assert (
            told("POST", "/tasks", tokens["ada"], content=b"{", headers={"content-type": "application/json"})[0] == 422
        )
        assert told("POST", "/tasks", tokens["ada"], content=b"x" * 1_000_001) == (413, "GL-WEB-003")
        assert told("POST", "/tasks", tokens["ada"], content=iter([b"{}"])) == (413, "GL-WEB-003")
        assert told("GET", "/nothing", tokens["ada"]) == (404, "GL-WEB-005")
        assert told("GET", "/tasks", tokens["ada"], headers={"host": "evil.example"}) == (421, "GL-WEB-001")
    assert stage.get("/people") == [{"name": name, "roles": roles} for name, roles in sorted(PEOPLE.items())]


def test_the_openapi_document_lists_every_route(stage: Stage) -> None:
    document = httpx.get(f"{stage.url}/api/v1/openapi.json", trust_env=False).json()

    assert document["openapi"].startswith("3.")
    operations = {(path, method) for path, methods in document["paths"].items() for method in methods}
    for path in ("/tasks", "/repositories", "/people", "/tasks/{task_id}/replies", "/tasks/{task_id}/approval",
                 "/tasks/{task_id}/rejection", "/tasks/{task_id}/stop", "/releases/rollback"):  # fmt: skip
        assert (f"/api/v1{path}", "post") in operations
    for path in ("/health", "/whoami", "/tasks/{task_id}/events", "/tasks/{task_id}/messages", "/releases",
                 "/tasks/{task_id}/content/{kind}", "/ledger/entries", "/ledger/checkpoint"):  # fmt: skip
        assert (f"/api/v1{path}", "get") in operations
    described = (each for methods in document["paths"].values() for each in methods.values())
    assert all("summary" in each for each in described)


def test_pages_that_are_not_there_and_forms_that_are_too_long_are_told_as_pages(stage: Stage, ada: Browser) -> None:
    for answer in (ada.get("/nothing-here"), ada.get("/tasks/task_nobody"), ada.send_form("/ask", text="x" * 70_000)):
        assert answer.status_code in (404, 422)
        assert answer.headers["content-type"].startswith("text/html")
        assert "Next:" in answer.text


def test_git_over_http_wants_a_token_and_takes_no_push_to_main(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    url = f"{stage.url}/git/{name}/info/refs?service=git-upload-pack"

    assert httpx.get(url, trust_env=False).status_code == 401
    assert httpx.get(url, trust_env=False, auth=("ada", "wrong")).status_code == 401
    assert httpx.get(url, trust_env=False, auth=("ada", stage.tokens["ada"])).status_code == 200
    assert httpx.get(url.replace(name, "nobody"), trust_env=False, auth=("ada", stage.tokens["ada"])).status_code != 200
    copy = stage.clone(name, tmp_path / "copy")
    (copy / "calc.py").write_text("mine now\n")
    git(copy, "commit", "--quiet", "--all", "-m", "Straight to main")
    with pytest.raises(AssertionError, match="main"):
        git(copy, "push", "origin", "main")
    git(copy, "push", "--quiet", "origin", "main:refs/heads/mine")
    assert "a - b" in (stage.clone(name, tmp_path / "again") / "calc.py").read_text()


def test_an_open_thread_page_does_not_hold_the_platform_up(tmp_path: Path) -> None:
    with staged() as stage:
        name = stage.calc(tmp_path)
        task_id = stage.start("adding subtracts, fix it", name, script("sleep 60"))
        with Browser(stage) as ada:
            ada.send_form("/login", token=stage.tokens["ada"])
            with ada.stream("GET", f"/tasks/{task_id}/stream"):
                began = time.monotonic()
                stage.stop()
                assert time.monotonic() - began < 15
                assert stage.process.returncode == 0
