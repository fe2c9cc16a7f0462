"""The example service: a bug mended, or a feature added, by a coding agent with a scripted model; seen over HTTP."""

import json
from typing import Any

import httpx

from greylag.app.client.console import RemoteRefusal, clean
from greylag.app.demo.showing import Demo, show_evidence, show_whereabouts
from greylag.app.example import NAME, Call, example_body, example_calls
from greylag.domain.stages import Stage

BUG = "the skip button fires twice on a slow network, fix it"
FOLLOW_UP = "make the debounce 300 ms"
FEATURES = {
    "about-this-song": "add About This Song: a card of context for a track",
    "prompted-playlists": "add Prompted Playlists: a playlist from a sentence",
    "page-match": "add Page Match: from a page of a book to the second in the audiobook",
}


def show_example(demo: Demo, feature: str) -> None:
    """Show the bug with its follow-up, or one of `FEATURES`, from the sentence to what the service then answers."""
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
        stale = task["subject"]
        task = demo.reply(task, FOLLOW_UP)
        demo.must("new_subject", task["subject"] != stale, "a new change is a new digest to approve")
    demo.must("in_review", task["status"] == "in_review", "the change is up for review")
    demo.headline("Somebody else approves exactly this")
    task = demo.approve(task)
    demo.must("released", task["status"] == "released", "the approved build is released")
    demo.headline("The service after")
    _exercise(demo, job, "after")
    show_evidence(demo, task, set(Stage))
    show_whereabouts(demo, task)


def _refuse_own_approval(demo: Demo, task: dict[str, Any]) -> None:
    demo.headline("Who asked can't approve")
    demo.act_as("ada")
    if demo.room is not None:
        room = demo.room
        said = room.answer_to("ada", task["task_id"], lambda: room.click("ada", task["task_id"], "Approve"))
        demo.tell("\n".join(f"  {line.strip()}" for line in said.splitlines()))
        refused = "GL-APPROVE-001" in said or "GL-PERSON-002" in said
        demo.must("own_approval_refused", refused, "asking is not approving")
        return
    try:
        demo.session.post(f"/tasks/{task['task_id']}/approval", {"subject": task["subject"]})
    except RemoteRefusal as error:
        demo.tell(f"  {error.code}: {error.message}\n  next: {error.remedy}")
        demo.must("own_approval_refused", error.code in ("GL-APPROVE-001", "GL-PERSON-002"), "asking is not approving")
        return
    demo.must("own_approval_refused", False, "asking is not approving")


def _exercise(demo: Demo, job: str, state: str) -> None:
    live = demo.session.get("/releases", repository=NAME)
    url = next(each["url"] for each in live if each["environment"] == "production")
    with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
        for number, call in enumerate(example_calls(job)):
            _call(demo, client, call, state, number)


def _call(demo: Demo, client: httpx.Client, call: Call, state: str, number: int) -> None:
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
