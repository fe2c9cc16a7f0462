"""The whole story in a chat: the stand-in for Slack in a browser, the real Bolt client, the real coding agent."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from browser_stage import REST_MS, SETTINGS, Site, Window, serving
from playwright.sync_api import Browser, Locator, Page, expect
from pydantic import SecretStr

from greylag.app.audit import decisions_of, verify_ledger
from greylag.app.bootstrap import open_stores
from greylag.app.fake_slack import Server, Workspace
from greylag.app.fake_slack.page.pages import COOKIE
from greylag.app.install.tools import find_claude
from greylag.app.settings import ChatSettings, Settings, SlackSettings
from tests.support.chat_threads import assert_same_thread, reached_the_agent, shown_in_slack

WISH = "the skip button fires twice on a slow network, fix it"
STEERED = "also leave the tests that are there as they are"
FOLLOW_UP = "make the debounce 300 ms"
#: Ada may approve what others ask for: only that she asked stands against her.
PEOPLE = {"ada": ["requester", "reviewer"], "grace": ["requester", "reviewer", "operator"]}
CHANNEL = "player"


@dataclass
class Talk:
    """A platform that listens to a workspace."""

    site: Site
    slack: Workspace
    url: str
    source: str


@pytest.fixture(scope="module")
def talk(browser: Browser) -> Iterator[Talk]:
    if not find_claude(Settings()).exists():
        pytest.skip("no Claude Code program here; fetch it: python scripts/fetch_claude.py")
    slack = Workspace(tuple(PEOPLE), (CHANNEL,))
    with Server(slack) as server:
        chat = ChatSettings(slack=SlackSettings(mode="socket", api_url=server.api, stand_in=True))
        tokens = {"slack_bot_token": SecretStr(slack.bot_token), "slack_app_token": SecretStr(slack.app_token)}
        with serving(SETTINGS.model_copy(update={"chat": chat, **tokens}), PEOPLE, prepared=0) as site:
            source = f"slack:{slack.world.team_id}"
            for name in PEOPLE:
                site.post("/people/links", {"name": name, "chat": source, "id": slack.user(name).id}, by="grace")
            yield Talk(site, slack, server.url, source)


@pytest.fixture
def at_slack(browser: Browser, talk: Talk, shots: Path) -> Iterator[Callable[..., Window]]:
    """Open windows on the workspace; at the end none may have seen what no window ever may."""
    opened: list[Window] = []

    def open_window(person: str, **how: object) -> Window:
        made = Window(browser, Site(talk.url, "", talk.site.home), shots, **how)
        made.context.add_cookies([{"name": COOKIE, "value": talk.slack.user(person).id, "url": talk.url}])
        opened.append(made)
        return made

    yield open_window
    for each in opened:
        each.close()
    assert [line for each in opened for line in each.complaints()] == []


@pytest.mark.slow
def test_the_story_in_slack(at_slack: Callable[..., Window], talk: Talk, tmp_path: Path) -> None:
    # Two repositories know of skipping, so it can't be guessed which one is meant.
    other = talk.site.repository(tmp_path, {"skip.txt": "rope"}, keywords=["skip"])
    ada, grace = at_slack("ada"), at_slack("grace", phone=True, color_scheme="dark")
    page = ada.page
    page.goto("/")
    page.get_by_label("Say something as ada").fill(f"@greylag {WISH}")
    page.keyboard.press("Enter")
    page.locator(".message", has_text=WISH).locator("a.reply").click()
    _chooses(ada, other)
    _watches_and_steers(ada)
    _sees_the_card(ada)
    _follows_up(ada)
    _is_refused(ada)
    _approves(grace, page.url)

    expect(_said(page, f"Done: {WISH} is released.")).to_be_visible(timeout=REST_MS)
    expect(_said(grace.page, f"Done: {WISH} is released.")).to_be_visible()
    root = page.url.rsplit("/", 1)[1]
    task = _settled(talk, root)
    ada.shot("8-released")
    grace.shot("8-released-phone")
    assert (task["status"], task["approved_by"]) == ("released", ["grace"])
    assert ada.audit() == grace.audit() == []
    _nothing_lost_nothing_doubled(talk, task["task_id"], root)
    _each_post_was_decided(talk, task["task_id"], root)


def _said(page: Page, words: str) -> Locator:
    return page.locator(".message.app", has_text=words)


def _reply(page: Page, words: str) -> None:
    page.get_by_label("Reply as ada").fill(words)
    page.keyboard.press("Enter")


def _chooses(ada: Window, other: str) -> None:
    page = ada.page
    choice = page.get_by_role("button", name="murmur", exact=True)
    expect(choice).to_be_visible()
    expect(page.get_by_role("button", name=other, exact=True)).to_be_visible()
    expect(page.locator(".message").first.get_by_role("button", name=re.compile("^eyes"))).to_be_visible()
    assert ada.audit() == []
    ada.shot("1-question")
    choice.click()


def _watches_and_steers(ada: Window) -> None:
    page = ada.page
    steps = page.locator(".plan .task")
    expect(steps.first).to_be_visible(timeout=REST_MS)
    ada.shot("2-live-card")
    expect(steps.nth(steps.count())).to_be_visible(timeout=REST_MS)
    assert page.locator(".plan").count() == 1, "it grows in one message"
    _reply(page, STEERED)
    expect(_said(page, "Passing it on to the agent.")).to_be_visible()
    ada.shot("3-steered-at-work")


def _sees_the_card(ada: Window) -> None:
    page = ada.page
    approve = page.get_by_role("button", name="Approve", exact=True)
    expect(approve).to_have_count(1, timeout=REST_MS)
    card = _said(page, "Ready for review")
    expect(card.get_by_role("link", name="Get the build")).to_be_visible()
    assert ada.audit() == []
    ada.shot("4-build-card")


def _follows_up(ada: Window) -> None:
    _reply(ada.page, FOLLOW_UP)
    expect(_said(ada.page, "Ready for review")).to_have_count(2, timeout=REST_MS)
    ada.shot("5-second-card")


def _is_refused(ada: Window) -> None:
    page = ada.page
    page.get_by_role("button", name="Approve", exact=True).last.click()
    refused = page.locator(".message", has_text="only you see this")
    expect(refused).to_contain_text("GL-APPROVE-001")
    ada.shot("6-own-approval-refused")


def _approves(grace: Window, address: str) -> None:
    page = grace.page
    page.goto(address)
    expect(page.locator(".message", has_text="only you see this")).to_have_count(0)
    grace.shot("7-decide-phone")
    assert grace.audit() == []
    page.get_by_role("button", name="Approve", exact=True).last.click()
    expect(_said(page, "Approved sha256:")).to_be_visible(timeout=REST_MS)


def _settled(talk: Talk, root: str) -> Any:
    """Return the task once it has ended and all of it was brought to the thread."""
    found = re.search(r"\btask_[0-9a-z]{26}\b", talk.slack.thread_text(root))
    assert found is not None
    told = f"/tasks/{found.group()}/conversations"
    task = talk.site.rest(found.group())
    talk.slack.wait(lambda: all(each["delivered"] for each in talk.site.get(told)), 30.0)
    return task


def _nothing_lost_nothing_doubled(talk: Talk, task_id: str, root: str) -> None:
    own = talk.site.get(f"/tasks/{task_id}/messages")
    assert_same_thread(own, shown_in_slack(talk.slack, root), (WISH, STEERED, FOLLOW_UP))
    kinds = {each["kind"] for each in own}
    assert {"question", "progress", "card", "text"} <= kinds
    assert reached_the_agent(talk.site.home, task_id, STEERED)
    assert talk.slack.pings == []


def _each_post_was_decided(talk: Talk, task_id: str, root: str) -> None:
    """Each message of the bot's was posted under a decision of its own task, permitted before it was said."""
    decided = {
        each["decision_id"]: datetime.fromisoformat(each["at"])
        for each in decisions_of(talk.site.home, task_id)
        if (each["stage"], each["target"]["name"], each["permitted"]) == ("chat", "fake-slack", True)
    }
    room = talk.slack.channel(CHANNEL).id
    said = [each for each in talk.slack.thread(root) if each.user == talk.slack.bot.id]
    control, ledger, _ = open_stores(SETTINGS, talk.site.home)
    try:
        postings = [control.chats.posted_as(talk.source, room, each.ts) for each in said]
    finally:
        ledger.close()
        control.close()
    ids = [each.decision_id for each in postings if each is not None and each.task_id == task_id]
    assert len(set(ids)) == len(said) > 0
    assert all(decided[each].timestamp() < float(message.ts) for each, message in zip(ids, said, strict=True))
    (refused,) = [each for each in talk.slack.thread(root, "ada") if each.ephemeral_to]
    assert refused.ts not in [each.ts for each in said]
    assert verify_ledger(talk.site.home)["intact"]
