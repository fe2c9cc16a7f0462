"""The officer's pages: by keyboard, on a phone, with a screen reader, and with what somebody hostile typed."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from browser_stage import Site, Window
from playwright.sync_api import expect

Open = Callable[..., Window]
HOSTILE = "</dd><img src=x onerror=window.pwned=1><script>window.pwned=1</script>\u202e"
FLOW = {
    "stage": "prompt", "target_kind": "endpoint", "target": "anthropic", "level": "internal",
    "classes": "user.contact.email", "origins": "DE",
}  # fmt: skip


@pytest.fixture(scope="module")
def decisions(site: Site) -> list[dict[str, Any]]:
    """The decisions about one task."""
    return list(site.get(f"/policy/tasks/{site.waiting()['task_id']}"))


@pytest.mark.parametrize(("scheme", "phone"), [("light", True), ("dark", False)])
def test_every_page_passes_the_audit(
    window: Open, site: Site, decisions: list[dict[str, Any]], scheme: str, phone: bool
) -> None:
    lin = window("lin", phone=phone, color_scheme=scheme)
    decision = decisions[0]["decision_id"]
    task = site.get(f"/policy/decisions/{decision}")["decision"]["task_id"]
    pages = {
        "policy": "/policy", "facts": "/facts?search=adequacy", "form": "/policy/explain",
        "flow": f"/policy/explain?{urlencode(FLOW)}", "decision": f"/policy/decisions/{decision}",
        "decisions": f"/tasks/{task}/decisions",
    }  # fmt: skip
    for name, path in pages.items():
        lin.page.goto(path)
        assert lin.audit() == [], path
        wider = lin.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{path} is {wider} px too wide"
        lin.shot(f"{name}-{scheme}")


def test_a_flow_is_asked_about_by_keyboard_alone(window: Open) -> None:
    lin = window("lin", phone=True)
    lin.page.goto("/policy")
    lin.tab_to("Ask about a flow", most=8)
    lin.page.keyboard.press("Enter")
    expect(lin.page.get_by_role("heading", name="Ask about a flow")).to_be_visible()
    lin.tab_to("Stage", most=8)
    lin.page.keyboard.type("prompt")
    lin.tab_to("To a", most=1)
    lin.page.keyboard.type("endpoint")
    lin.tab_to("Named", most=1)
    lin.page.keyboard.type("anthropic")
    lin.page.keyboard.press("Escape")
    lin.page.keyboard.press("Enter")
    expect(lin.page.get_by_role("region", name="The answer")).to_contain_text("denied")
    expect(lin.page.get_by_role("heading", name="What can be done")).to_be_visible()
    assert lin.page.get_by_label("Named").input_value() == "anthropic"


def test_from_the_thread_to_why(window: Open, site: Site) -> None:
    lin = window("lin")
    lin.open(site.waiting())
    lin.page.get_by_role("link", name="Decisions, and why").click()
    lin.page.get_by_role("link", name="Why: checkout").first.click()
    expect(lin.page.get_by_role("region", name="The answer")).to_contain_text("permitted")
    expect(lin.page.get_by_text("the same answer")).to_be_visible()
    lin.page.get_by_role("link", name="The task's decisions").click()
    lin.page.get_by_role("link", name="Back to the thread").click()


def test_what_somebody_typed_stays_text(window: Open) -> None:
    lin = window("lin")
    lin.provoked("status of 400")
    for field in ("target", "classes", "origins", "asset", "surfaces", "principal", "stage", "at"):
        lin.page.goto(f"/policy/explain?{urlencode(FLOW | {field: HOSTILE})}")
        assert lin.page.locator("img").count() == 0
    lin.page.goto(f"/facts?{urlencode({'search': HOSTILE})}")
    assert lin.page.locator("img").count() == 0
