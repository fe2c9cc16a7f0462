"""The story in a browser by two people: asked in words, followed live, turned back, mended, approved, released."""

import re
from collections.abc import Callable

import pytest
from browser_stage import REST_MS, Site, Window
from playwright.sync_api import Page, Request, expect

from greylag.app.install.tools import find_claude
from greylag.app.settings import Settings

WISH = "the skip button fires twice on a slow network, fix it"
FOLLOW_UP = "make the debounce 300 ms"


def shown_digest(page: Page) -> str:
    return page.locator("#decide code").inner_text()


@pytest.mark.slow
def test_the_story_of_a_change(window: Callable[..., Window], site: Site) -> None:
    if not find_claude(Settings()).exists():
        pytest.skip("no Claude Code program here; fetch it: python scripts/fetch_claude.py")
    ada, grace = window("ada"), window(phone=True)
    page = ada.page
    page.goto("/")

    page.get_by_label("In plain language").fill(WISH)
    page.get_by_role("button", name="Ask").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(WISH)
    expect(page.locator("#live")).to_have_text("● live")
    address, loads = page.url, len(ada.loads)
    expect(page.locator(".attempt li").first).to_be_visible(timeout=REST_MS)
    expect(page.locator("#words")).to_contain_text("The agent is at work")
    ada.shot("1-at-work")
    turned_back = page.locator(".thread > li", has_text="The verifiers turned it back")
    expect(turned_back.locator("summary")).to_contain_text("failed", timeout=REST_MS)
    expect(page.locator(".attempt")).to_have_count(2, timeout=REST_MS)
    expect(page.locator(".card")).to_have_count(1, timeout=REST_MS)
    ada.status("in review")
    expect(page.locator("#words")).to_have_text("It waits for a reviewer: grace, lin.")
    expect(page.locator("#facts")).to_contain_text("no real model was called")
    assert (page.url, len(ada.loads)) == (address, loads), "the thread fills without a reload"

    _ada_cannot_approve(ada)
    first = shown_digest(page)
    ada.shot("2-waits-for-a-reviewer")

    _grace_arrives_by_a_link(grace, address)
    assert shown_digest(grace.page) == first
    grace.shot("3-phone-card")

    page.get_by_label("Say more").fill(FOLLOW_UP)
    page.get_by_role("button", name="Send").click()
    # What Grace looks at is taken from under her finger, and never exchanged there.
    expect(grace.page.get_by_role("button", name=re.compile("^Approve"))).to_be_hidden()
    expect(grace.page.locator("#stale")).to_be_visible()
    expect(page.locator(".card")).to_have_count(2, timeout=REST_MS)
    ada.status("in review")
    grace.status("in review")
    expect(grace.page.get_by_role("button", name=re.compile("^Approve"))).to_be_hidden()
    assert shown_digest(grace.page) == first
    grace.page.get_by_role("link", name="Load what is there now").click()

    second = shown_digest(grace.page)
    assert second not in (first, "")
    assert second == site.get(f"/tasks/{address.rsplit('/', 1)[1]}")["subject"]
    _grace_reads_the_diff(grace)
    _grace_approves_by_keyboard(grace, second)

    grace.status("released")
    ada.status("released")
    expect(page.locator("#words")).to_have_text("Released. It runs in staging, production.")
    expect(page.locator("#live")).to_have_text("ended")
    expect(page.get_by_role("button", name="Stop this task")).to_have_count(0)
    assert ada.audit() == []
    assert grace.audit() == []
    ada.shot("6-released")
    page.reload()
    assert page.locator(".attempt details[open]").count() == 0
    ada.shot("7-released-folded")


def _ada_cannot_approve(ada: Window) -> None:
    page = ada.page
    expect(page.locator("#decide")).to_contain_text("You asked for this, so somebody else approves it.")
    assert page.get_by_role("button", name=re.compile("Approve|Reject")).count() == 0
    ada.provoked("status of 403")
    refused = page.evaluate(
        """async (subject) => {
          const body = new URLSearchParams({subject});
          const answer = await fetch(location.pathname + "/approve", {method: "POST", body});
          return {status: answer.status, page: await answer.text()};
        }""",
        shown_digest(page),
    )
    assert refused["status"] == 403
    assert "has not the role `reviewer`" in refused["page"]
    assert ada.site.get(f"/tasks/{page.url.rsplit('/', 1)[1]}")["approved_by"] == []


def _grace_arrives_by_a_link(grace: Window, address: str) -> None:
    grace.page.goto(address)
    expect(grace.page.get_by_role("heading", level=1)).to_have_text("Sign in")
    grace.page.keyboard.type(grace.site.tokens["grace"])
    grace.page.keyboard.press("Enter")
    expect(grace.page.locator("#words")).to_have_text(
        "It waits for you: look at the change, then approve or reject it."
    )
    assert grace.page.url == address
    assert grace.audit() == []


def _grace_reads_the_diff(grace: Window) -> None:
    page = grace.page
    page.locator("#actions").get_by_role("link", name=re.compile("^Diff")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Diff")
    expect(page.get_by_role("heading", level=2)).to_have_count(4)
    expect(page.locator(".row.plus", has_text="REPEAT_MILLISECONDS = 300")).to_be_visible()
    page.get_by_role("link", name="src/murmur/queues.py").click()
    assert page.url.endswith("#f3")
    assert grace.audit() == []
    grace.shot("4-phone-diff")
    page.get_by_role("link", name="Back to the decision").click()
    page.locator("#actions").get_by_role("link", name="Test report").click()
    expect(page.locator(".content")).to_contain_text("79 passed")
    assert grace.audit() == []
    page.get_by_role("link", name="Back to the decision").click()
    page.locator("#actions").get_by_role("link", name="Evidence").click()
    expect(page.locator(".content")).to_contain_text("verifierRuns")
    page.get_by_role("link", name="Back to the decision").click()


def _grace_approves_by_keyboard(grace: Window, digest: str) -> None:
    page = grace.page
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    page.goto("/")
    grace.shot("5-phone-tasks")
    assert grace.audit() == []
    grace.tab_to(WISH)
    page.keyboard.press("Enter")
    expect(page.locator("#standing")).to_be_visible()
    grace.tab_to("Go to the decision")
    page.keyboard.press("Enter")
    grace.tab_to("Approve, merge and release murmur-", most=1)
    page.keyboard.press("Enter")
    expect(page.locator(".thread")).to_contain_text(f"Approved {digest[:26]}…")
    assert [(each.url.rsplit("/", 1)[1], each.post_data) for each in sent] == [
        ("approve", f"subject={digest.replace(':', '%3A')}")
    ]
