"""The whole story in the web thread: asked, a question, steered at work, built, followed up, approved, released."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from browser_stage import REST_MS, Site, Window
from playwright.sync_api import Page, expect

from greylag.app.install.tools import find_claude
from greylag.app.settings import Settings

WISH = "the skip button fires twice on a slow network, fix it"
STEERED = "leave the tests that are there as they are"
FOLLOW_UP = "make the debounce 300 ms"
LOOKS = ("Approve", "Reject", "Ask for more", "See the diff", "Test report", "Get the build")


def offered(page: Page, message: str) -> list[str]:
    """Return what the last message with ``message`` in it offers now."""
    said = page.locator(".thread > li", has_text=message).last
    return [each for each in said.locator(".offers").locator("a, button").all_inner_texts() if each]


@pytest.mark.slow
def test_a_conversation_from_the_wish_to_the_release(window: Callable[..., Window], site: Site, tmp_path: Path) -> None:
    if not find_claude(Settings()).exists():
        pytest.skip("no Claude Code program here; fetch it: python scripts/fetch_claude.py")
    # Two repositories know of skipping, so it can't be guessed which one is meant.
    other = site.repository(tmp_path, {"skip.txt": "rope"}, keywords=["skip"])
    ada, grace = window("ada"), window(phone=True)
    page = ada.page
    page.goto("/")
    page.get_by_label("In plain language").fill(WISH)
    page.get_by_role("button", name="Ask").click()
    _answers_the_question(ada, other)
    _asks_and_steers(ada)
    _gets_the_build(ada)
    first = page.locator("#decide code").inner_text()
    _follows_up(ada)

    address = f"{page.url.split('#')[0]}#decide"
    _arrives_at_the_decision(grace, address)
    second = grace.page.locator("#decide code").inner_text()
    assert second not in (first, "")
    grace.page.get_by_role("button", name=re.compile("^Approve, merge and release murmur-")).click()

    grace.status("released")
    ada.status("released")
    expect(page.locator("#words")).to_have_text("Released. It runs in staging, production.")
    expect(page.locator("#live")).to_have_text("ended")
    expect(page.locator(".thread")).to_contain_text(f"Approved {second[:26]}…")
    expect(page.locator(".card").last.locator(".past")).to_have_text("Offered then: Approve · Reject · Ask for more")
    expect(page.get_by_role("button", name=re.compile("Stop|Send|Approve"))).to_have_count(0)
    assert ada.audit() == grace.audit() == []
    ada.shot("9-released")
    grace.shot("9-released-phone")


def _answers_the_question(ada: Window, other: str) -> None:
    page = ada.page
    ada.status("asked")
    picker = page.get_by_role("button", name="murmur", exact=True)
    expect(picker).to_be_visible()
    expect(page.get_by_role("button", name=other, exact=True)).to_be_visible()
    assert ada.audit() == []
    ada.shot("1-question")
    page.get_by_role("link", name="Answer").click()
    ada.tab_to("murmur", most=12)
    page.keyboard.press("Enter")
    expect(page.locator("#facts")).to_contain_text("murmur", timeout=REST_MS)
    expect(picker).to_have_count(0)


def _asks_and_steers(ada: Window) -> None:
    page = ada.page
    expect(page.locator(".attempt li").first).to_be_visible(timeout=REST_MS)
    loads = len(ada.loads)
    page.get_by_role("link", name="What are you doing?").click()
    expect(page.locator("#doing")).to_contain_text("the agent is at work")
    assert len(ada.loads) == loads, "answered in place"
    ada.shot("2-what-are-you-doing")
    page.get_by_label("Say more").fill(STEERED)
    page.get_by_label("now: tell the agent at its work").check()
    assert ada.audit() == []
    ada.shot("3-steering")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".thread > li", has_text=STEERED).first).to_be_visible()
    expect(page.locator(".thread")).to_contain_text("Passing it on to the agent.")


def _gets_the_build(ada: Window) -> None:
    page = ada.page
    expect(page.locator(".card")).to_have_count(1, timeout=REST_MS)
    ada.status("in review")
    card = page.locator(".card")
    expect(card.get_by_role("link", name="Get the build")).to_be_visible()
    assert offered(page, "Ready for review") == list(LOOKS[2:]), "who asked can't approve"
    assert "greylag approve" not in card.inner_text()
    with page.expect_download() as download:
        card.get_by_role("link", name="Get the build").click()
    assert re.fullmatch(r"murmur-.*\.whl", download.value.suggested_filename)
    assert Path(download.value.path()).read_bytes()[:2] == b"PK"
    ada.shot("4-build")


def _follows_up(ada: Window) -> None:
    page = ada.page
    page.locator(".card").get_by_role("link", name="Ask for more").click()
    page.keyboard.type(FOLLOW_UP)
    ada.shot("5-follow-up")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".card")).to_have_count(2, timeout=REST_MS)
    ada.status("in review")
    expect(page.locator(".card").first.locator(".past")).to_contain_text("Offered then: Approve · Reject")
    assert page.locator(".card").first.locator(".offers").locator("a, button").count() == 0
    ada.shot("6-second-card")


def _arrives_at_the_decision(grace: Window, address: str) -> None:
    """By a link from a chat, not signed in: to the decision, after the sign-in."""
    page = grace.page
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.get_by_label("Your token").fill(grace.site.tokens["grace"])
    page.keyboard.press("Enter")
    expect(page.locator("#decide")).to_be_in_viewport()
    assert page.url == address
    assert offered(page, "Ready for review") == list(LOOKS)
    assert grace.audit() == []
    grace.shot("7-decide-phone")
    page.locator(".card").last.get_by_role("link", name="See the diff").click()
    expect(page.locator(".row.plus", has_text="REPEAT_MILLISECONDS = 300")).to_be_visible()
    grace.shot("8-diff-phone")
    page.get_by_role("link", name="Back to the decision").click()
