"""The stand-in's page in a real browser: typed, clicked and filled in as people do; hostile text stays text."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser_stage import Site, Window
from playwright.sync_api import Browser, Page, expect
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk import WebClient
from slack_sdk.web.async_client import AsyncWebClient

from greylag.app.fake_slack import Server, Workspace
from greylag.app.fake_slack.page.pages import COOKIE
from greylag.app.fake_slack.world.text import clean
from tests.support import hostile_strings
from tests.support.fake_slack_stage import bolt, button, connected, field, modal, plain, section

Open = Callable[..., Window]
OPTIONS = [{"text": plain(name), "value": name.lower()} for name in ("Murmur", "Tide")]
MENU = {"type": "static_select", "action_id": "pick", "options": OPTIONS, "placeholder": plain("Which repository")}
BUTTONS = [
    button("Approve", "approve", value="sha256:1", style="primary"), button("Reject", "reject", style="danger"), MENU,
    button("Roll back", "back", confirm={
        "title": plain("Roll back?"), "text": plain("To 1.4.1"), "confirm": plain("Yes, back"), "deny": plain("No"),
    }),
]  # fmt: skip


def program(server: Server, heard: list[str]) -> AsyncApp:
    """A program that shows a card for a mention, a form for a button, a plan while it works, and a home."""
    app = bolt(server)

    @app.event("app_mention")
    async def mention(event: dict[str, Any], client: AsyncWebClient) -> None:
        channel, ts = event["channel"], event.get("thread_ts") or event["ts"]
        stream = await client.chat_stream(
            channel=channel, thread_ts=ts, task_display_mode="plan", recipient_user_id=event["user"],
            recipient_team_id=event["team"],
        )  # fmt: skip
        await stream.append(chunks=[{"type": "task_update", "id": "1", "title": "Read", "status": "in_progress"}])
        await stream.append(chunks=[{"type": "task_update", "id": "1", "title": "Read", "status": "complete"}])
        await stream.stop()
        blocks = [section("*Ready* to review"), {"type": "actions", "elements": BUTTONS}]
        await client.chat_postMessage(channel=channel, thread_ts=ts, text="card", blocks=blocks)

    @app.event("message")
    async def message(event: dict[str, Any]) -> None:
        heard.append(event.get("text", ""))

    @app.event("app_home_opened")
    async def home(event: dict[str, Any], client: AsyncWebClient) -> None:
        blocks = [section("*Your tasks*"), {"type": "actions", "elements": [button("Refresh", "refresh")]}]
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": blocks})

    @app.action("approve")
    async def approve(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        heard.append(f"approved by {body['user']['name']}")
        await respond(text="That is approved.", response_type="in_channel", thread_ts=body["message"]["thread_ts"])

    @app.action("pick")
    async def pick(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        heard.append(body["actions"][0]["selected_option"]["value"])

    @app.action("back")
    async def back(ack: AsyncAck) -> None:
        await ack()
        heard.append("back")

    @app.action("refresh")
    async def refresh(ack: AsyncAck) -> None:
        await ack()
        heard.append("refresh")

    @app.action("reject")
    async def reject(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        view = modal(field("Reason", "reason", multiline=True), callback_id="why")
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("why")
    async def why(ack: AsyncAck, view: dict[str, Any]) -> None:
        words = view["state"]["values"]["reason"]["reason-text"]["value"]
        heard.append(words)
        await (ack() if len(words) > 4 else ack(response_action="errors", errors={"reason": "Say more."}))

    return app


@contextmanager
def running(server: Server, heard: list[str]) -> Iterator[None]:
    """The program in a thread of its own."""
    over = threading.Event()

    async def run() -> None:
        async with connected(server, program(server, heard)):
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        server.workspace.wait(lambda: server.workspace.connections)
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(Workspace()) as serving:
        yield serving


@pytest.fixture
def window(browser: Browser, server: Server, shots: Path) -> Iterator[Open]:
    """Open windows on the stand-in; at the end none may have seen what no window ever may."""
    opened: list[Window] = []

    def open_window(person: str, **how: object) -> Window:
        made = Window(browser, Site(server.url, "", shots), shots, **how)
        user = server.workspace.user(person).id
        made.context.add_cookies([{"name": COOKIE, "value": user, "url": server.url}])
        opened.append(made)
        return made

    yield open_window
    for each in opened:
        each.close()
    assert [line for each in opened for line in each.complaints()] == []


def test_a_conversation_by_hand(window: Open, server: Server) -> None:
    heard: list[str] = []
    with running(server, heard):
        ada, grace = window("ada", phone=True), window("grace", color_scheme="dark")
        page = ada.page
        page.goto("/")
        expect(page.locator("#live")).to_have_text("● live")
        assert ada.audit() == []
        page.get_by_label("Say something as ada").fill("@greylag the skip button fires twice")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="2 replies").click()
        expect(page.get_by_text("Ready to review")).to_be_visible()
        expect(page.locator(".task.complete")).to_contain_text("done")
        assert ada.audit() == []
        ada.shot("thread-on-a-phone")
        grace.page.goto(page.url)
        answer_and_reject(grace, grace.page, heard)
        expect(page.get_by_text("That is approved.")).to_be_visible()
        page.get_by_label("Reply as ada").fill("half a")
        server.workspace.say("grace", "general", "in between", thread=page.url.rsplit("/", 1)[1])
        expect(page.get_by_text("in between")).to_be_visible()
        expect(page.get_by_label("Reply as ada")).to_have_value("half a")
        choose_react_and_attach(page, heard)
        page.get_by_role("link", name="greylag (home)").click()
        page.get_by_role("button", name="Refresh").click()
        server.workspace.wait(lambda: "refresh" in heard)
        assert ada.audit() == []
    expect(page.locator("#standing")).to_contain_text("No program is connected")


def answer_and_reject(grace: Window, page: Page, heard: list[str]) -> None:
    """By keyboard alone."""
    grace.tab_to("Approve")
    page.keyboard.press("Enter")
    expect(page.get_by_text("That is approved.")).to_be_visible()
    assert "approved by grace" in heard
    grace.tab_to("Reject")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Why not")
    expect(dialog.get_by_label("Reason").first).to_be_focused()
    assert grace.audit() == []
    page.keyboard.type("no")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("Say more.")
    expect(dialog.get_by_label("Reason").first).to_have_value("no")
    grace.shot("a-mistake-in-the-form")
    assert grace.audit() == []
    page.keyboard.type("t the right place")
    dialog.get_by_role("button", name="Send").click()
    expect(dialog).to_have_count(0)
    assert heard[-1].endswith("right place")
    page.get_by_role("button", name="Reject").click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def choose_react_and_attach(page: Page, heard: list[str]) -> None:
    page.get_by_label("Which repository", exact=True).select_option("Tide")
    page.get_by_role("button", name="Choose: Which repository").click()
    page.get_by_text("Roll back", exact=True).click()
    page.get_by_role("button", name="Yes, back").click()
    expect(page.locator("#problem")).to_be_empty()
    first = page.locator(".message").first
    first.get_by_label("React to the message").click()
    first.get_by_role("button", name="React with eyes").click()
    expect(first.get_by_role("button", name="eyes, 1")).to_be_visible()
    page.get_by_label("Attach a file").set_input_files({"name": "log.txt", "mimeType": "text/plain", "buffer": b"log"})
    page.get_by_role("button", name="Send").click()
    with page.expect_download() as loading:
        page.get_by_role("link", name="log.txt").click()
    assert loading.value.path().read_bytes() == b"log"
    assert {"tide", "back"} <= set(heard)


def batches() -> Iterator[str]:
    """The thousand texts, cut where they are long, in messages of what a section may hold."""
    held: list[str] = []
    for text in hostile_strings.texts():
        if len("\n".join([*held, text[:900]])) > 2900:
            yield "\n".join(held)
            held = []
        held.append(text[:900])
    yield "\n".join(held)


def read(words: str) -> str:
    """What a browser makes of a text, whatever it holds: no NUL, one kind of line end, no half characters."""
    return clean(words).replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")


def test_hostile_text_stays_text(window: Open, server: Server) -> None:
    """Typed by people, said by the program in each kind of text, in names and labels."""
    slack, texts = server.workspace, hostile_strings.texts()
    web = WebClient(slack.bot_token, base_url=server.api)
    room = slack.add_channel("hostile")
    root = slack.say("ada", "hostile", "hostile texts")
    ada = window("ada", phone=True)
    page = ada.page
    page.goto(f"/c/{room.id}/t/{root}")
    expect(page.locator("#live")).to_have_text("● live")
    said: dict[str, str] = {}
    for number, words in enumerate(batches()):
        label = texts[number * 7][:70].strip() or "x"
        slack.say("grace", "hostile", words, thread=root, files=[(label, b"x")])
        choice = {"text": plain(label), "value": "v"}
        pressed = {"type": "actions", "elements": [
            button(label, "a", value=label), {**MENU, "options": [choice], "placeholder": plain(label)},
        ]}  # fmt: skip
        blocks = [section(words, "plain_text"), section(words), pressed]
        made = web.chat_postMessage(channel=room.id, thread_ts=root, text="x", blocks=blocks)
        last = web.chat_postMessage(channel=room.id, thread_ts=root, markdown_text=words)["ts"]
        said[str(made["ts"])] = read(words)
    assert len(said) > 20
    expect(page.locator(f"[data-ts='{last}']")).to_be_attached(timeout=20_000)
    assert shown(page, list(said)) == said
    assert page.locator("script").count() == 1
    assert ada.audit() == []
    page.reload()
    assert shown(page, list(said)) == said
    assert ada.audit() == []
    web.views_publish(user_id=slack.user("ada").id, view={"type": "home", "blocks": [section(texts[0], "plain_text")]})
    page.goto("/home")
    assert read(texts[0]) in (page.locator("#messages").text_content() or "")
    expect(page.locator("#live")).to_have_text("● live")


def shown(page: Page, stamps: list[str]) -> dict[str, str]:
    """Return the first text that the page shows of each message."""
    found = page.evaluate(
        "(stamps) => stamps.map((ts) => document.querySelector(`[data-ts='${ts}'] .text`).textContent)", stamps
    )
    return dict(zip(stamps, found, strict=True))
