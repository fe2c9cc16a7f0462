"""The stand-in's control as JSON, its page to programs, and the command that runs it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from greylag.app.fake_slack import Rules, Server, Workspace
from tests.support.fake_slack_stage import button, client_of, field, modal
from tests.support.source import PACKAGE


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(Workspace(rules=Rules(retry_delays=()))) as running:
        yield running


@pytest.fixture
def slack(server: Server) -> Workspace:
    return server.workspace


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=10) as client:
        yield client


async def test_a_conversation_by_json(http: httpx.AsyncClient, server: Server, slack: Workspace) -> None:
    async def post(name: str, /, **given: Any) -> Any:
        answer = await http.post(f"/control/{name}", json=given)
        assert answer.is_success, answer.text
        return answer.json() if "json" in answer.headers["content-type"] else answer.text

    state = (await http.get("/control/state")).json()
    assert (state["bot_token"], state["people"]["ada"]) == (slack.bot_token, slack.user("ada").id)
    root = (await post("say", user="ada", channel="general", text="@greylag hello"))["ts"]
    asked = [{"type": "actions", "elements": [button("Go", "go")]}]
    card = await client_of(server).chat_postMessage(
        channel=slack.channel("general").id, thread_ts=root, text="card", blocks=asked
    )
    told = (await post("press", user="ada", where=card["ts"], what="Go"))["id"]
    trigger = next(each.payload["trigger_id"] for each in slack.deliveries if each.id == told)
    await client_of(server).views_open(trigger_id=trigger, view=modal(field("Reason", "reason")))
    await post("submit", user="ada", values={"Reason": "because"})
    await post("react", user="grace", ts=root, name="eyes")
    await post("edit", user="ada", ts=root, text="changed")
    await post("home", user="ada")
    text = await post("wait", ts=root, contains="[Go]", seconds=1)
    assert text == "ada (edited): changed\n    :eyes: 1\ngreylag: [Go]\n"
    assert (await http.get("/control/thread", params={"ts": root})).text == text
    messages = (await http.get("/control/messages", params={"channel": "general"})).json()
    assert [each["ts"] for each in messages] == [root, card["ts"]]
    calls = (await http.get("/control/calls")).json()
    assert [each["method"] for each in calls] == ["chat.postMessage", "views.open"]
    assert slack.bot_token not in json.dumps(calls)
    deliveries = (await http.get("/control/deliveries")).json()
    event = next(each["payload"]["event_id"] for each in deliveries if each["kind"] == "events_api")
    await post("redeliver", event_id=event)
    await post("hold", on=True)
    await post("hold", on=False, reverse=True)
    await post("fault", method="auth.test", kind="status", status=503)
    failed = await http.post("/api/auth.test", headers={"authorization": f"Bearer {slack.bot_token}"})
    assert failed.status_code == 503
    assert (await http.get("/control/pings")).json() == []
    await post("delete", ts=card["ts"])
    await post("disconnect")


@pytest.mark.parametrize(
    ("name", "given", "status", "code"),
    [
        ("say", {"user": "ada"}, 400, "GL-FAKE-007"),
        ("say", {"user": "nobody", "channel": "general", "text": "x"}, 404, "GL-FAKE-003"),
        ("say", {"user": "ada", "channel": "general", "text": ""}, 400, "GL-FAKE-005"),
        ("say", {"user": "ada", "channel": "@grace", "text": "x"}, 400, "GL-FAKE-005"),
        ("react", {"user": "ada", "ts": "1.1", "name": "eyes"}, 404, "GL-FAKE-003"),
        ("fault", {"method": "auth.test", "kind": "explode"}, 400, "GL-FAKE-007"),
        ("submit", {"user": "ada", "values": []}, 404, "GL-FAKE-003"),
        ("wait", {"ts": "1.1", "contains": "x", "seconds": 0.05}, 504, "GL-FAKE-004"),
        ("wait", {"ts": "1.1", "contains": "x", "seconds": "soon"}, 400, "GL-FAKE-007"),
    ],
)
async def test_what_control_refuses(
    name: str, given: dict[str, Any], status: int, code: str, http: httpx.AsyncClient
) -> None:
    answer = await http.post(f"/control/{name}", json=given)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["remedy"]


async def test_other_sites_are_kept_out(http: httpx.AsyncClient, slack: Workspace) -> None:
    words = {"user": "ada", "channel": "general", "text": "planted"}
    for headers, status in (
        ({"origin": "http://evil.example"}, 403), ({"host": "evil.example"}, 421), ({"origin": "null"}, 403),
    ):  # fmt: skip
        assert (await http.post("/control/say", json=words, headers=headers)).status_code == status
        assert (await http.post("/say", data=words, headers=headers)).status_code == status
    plain = await http.post("/control/say", content=json.dumps(words), headers={"content-type": "text/plain"})
    assert plain.status_code == 400
    assert (await http.get("/control/state", headers={"host": "rebound.example"})).status_code == 421
    assert slack.messages() == []
    page = await http.get("/", follow_redirects=True)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]


async def test_the_page_without_its_script(http: httpx.AsyncClient, server: Server, slack: Workspace) -> None:
    http.cookies.set("stand_in_user", slack.user("grace").id)
    room, secret = slack.channel("general").id, slack.add_channel("secret", private=True, members=["ada"]).id
    words = {"channel": room, "thread": "", "text": "a\r\nb"}
    answer = await http.post("/say", data=words, files={"file": ("n", b"x")})
    assert answer.status_code == 303
    [said] = slack.messages("general")
    assert (said.user, said.text, len(said.files)) == (slack.user("grace").id, "a\nb", 1)
    await http.post("/react", data={"ts": said.ts, "name": "eyes"})
    assert said.reactions == {"eyes": [slack.user("grace").id]}
    await http.post("/react", data={"ts": said.ts, "name": "eyes"})
    assert said.reactions == {}
    assert (await http.get(f"/c/{secret}")).status_code == 404
    hidden = slack.say("ada", "secret", "a file", files=[("s", b"secret")])
    assert (await http.get(f"/file/{slack.message(hidden).files[0]}")).status_code == 404
    assert (await http.post("/react", data={"ts": hidden, "name": "eyes"})).status_code == 400
    assert (await http.post("/say", data={"channel": secret, "text": "x"})).status_code == 400
    fetched = await http.get(f"/file/{said.files[0]}")
    assert (fetched.content, fetched.headers["content-disposition"]) == (b"x", "attachment; filename*=UTF-8''n")
    new = await http.post("/as", data={"new": "Lin"})
    assert new.cookies["stand_in_user"] == slack.user("lin").id
    assert (await http.post("/as", data={"new": "<b>"})).status_code == 400
    assert (await http.get("/c/nonesuch/t/1.1")).status_code == 404


def test_the_command_runs_it_and_keeps_it(tmp_path: Path) -> None:
    state, manifest = tmp_path / "state.json", tmp_path / "manifest.json"
    manifest.write_text('{"settings": {"event_subscriptions": {"bot_events": ["app_mention"]}}}')
    code = "from greylag.app.cli.main import run; run()"
    command = [sys.executable, "-c", code, "fake-slack", "--port", "0", "--people", "ada,lin", "--state", str(state)]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    with subprocess.Popen(
        [*command, "--manifest", str(manifest)], env=environment, stdout=subprocess.PIPE, text=True
    ) as running:  # fmt: skip
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(5)]
        base = lines[1].split()[-1].removesuffix("/api/")
        assert base in lines[0]
        said = httpx.post(
            f"{base}/control/say", json={"user": "lin", "channel": "general", "text": "kept"}, trust_env=False
        )
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert Workspace(world=Workspace.load(state)).message(said.json()["ts"]).text == "kept"
    refused = subprocess.run(
        [*command[:-2], "--manifest", str(state) + "x"], env=environment, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip
    assert "GL-FAKE-009" in refused.stderr
