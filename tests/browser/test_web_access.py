"""The pages for everybody: by keyboard, on a phone, in the dark, with a screen reader, over a bad connection."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser_stage import Line, Site, Window
from playwright.sync_api import expect

import greylag.app.web

Open = Callable[..., Window]
CSS = (Path(greylag.app.web.__file__).parent / "static" / "greylag.css").read_text()
#: What stands on what: text colours, and the grounds they are used on.
ON_GROUND = {
    "ink": ("paper", "soft", "plus", "minus"), "quiet": ("paper", "soft", "plus", "minus"), "accent": ("paper", "soft"),
    "good": ("paper", "soft"), "bad": ("paper", "soft"), "paper": ("accent",),
}  # fmt: skip


@pytest.fixture(scope="module")
def task(site: Site) -> Iterator[Any]:
    """One task in review, which nobody changes."""
    return site.waiting()


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_apart(scheme: str) -> None:
    """WCAG 2.2, 1.4.3 (text, 4.5:1) and 1.4.11 (borders of fields and the focus, 3:1)."""
    light, dark = re.findall(r":root\s*\{([^}]*)\}", CSS)
    colours = dict(re.findall(r"--(\w+): (#\w{6});", light))
    if scheme == "dark":
        colours |= dict(re.findall(r"--(\w+): (#\w{6});", dark))
    assert set(colours) == {"ink", "quiet", "paper", "soft", "line", "accent", "good", "bad", "plus", "minus"}
    assert len(re.findall(r"#[0-9a-f]{3,8}\b", CSS)) == 2 * len(colours), "a colour beside the ones with a name"

    def ratio(one: str, other: str) -> float:
        darker, lighter = sorted((luminance(colours[one]), luminance(colours[other])))
        return (lighter + 0.05) / (darker + 0.05)

    weak = {f"{text} on {ground}": ratio(text, ground) for text, grounds in ON_GROUND.items() for ground in grounds}
    assert {pair: found for pair, found in weak.items() if found < 4.5} == {}
    assert min(ratio("line", "paper"), ratio("accent", "paper"), ratio("accent", "soft")) >= 3


@pytest.mark.parametrize(("scheme", "phone"), [("light", True), ("dark", True), ("light", False)])
def test_every_page_passes_the_audit(window: Open, task: Any, scheme: str, phone: bool) -> None:
    lin = window("lin", phone=phone, color_scheme=scheme)
    thread = f"/tasks/{task['task_id']}"
    pages = ("/", thread, *(f"{thread}/see/{kind}" for kind in ("diff", "report", "prompt", "evidence")))
    for path in (*pages, "/nowhere", "/login"):
        lin.provoked("status of 404") if path == "/nowhere" else None
        lin.page.goto(path)
        assert lin.audit() == [], path
        lin.shot(f"{scheme}-{path.strip('/').replace('/', '-')[-12:] or 'tasks'}") if phone else None


def test_the_skip_link_leads_past_the_header(window: Open, task: Any) -> None:
    lin = window("lin", phone=True)
    lin.open(task)
    lin.tab_to("Skip to the content", most=1)
    lin.page.keyboard.press("Enter")
    assert lin.page.evaluate("document.activeElement.id") == "main"
    lin.tab_to("Go to the decision", most=2)


def test_everything_can_be_reached_by_keyboard(window: Open, task: Any) -> None:
    grace = window("grace", phone=True)
    grace.open(task)
    grace.tab_to("Go to the decision", most=6)  # past the header and its links
    for stop in ("What are you doing?", "Where does it stand?", "Stop", "begins, attempt 1", "Approve", "Reject",
                 "Ask for more", "See the diff", "Test report", "Get the build", "Diff (", "Evidence",
                 "Approve, merge", "Why not", "Reject", "Say more", "Send", "Stop this task"):  # fmt: skip
        grace.tab_to(stop, most=4)


def test_a_connection_that_breaks_is_said_and_mended(window: Open, site: Site) -> None:
    task_id = site.start("wait for words", "murmur", ["sh", "-c", "echo waiting; sleep 120"])
    line = Line(site.port)
    ada = window("ada", site=replace(site, url=line.url))
    ada.provoked("ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY")
    page = ada.open(task_id)
    expect(page.locator(".attempt li")).to_contain_text("waiting", timeout=60_000)
    line.cut()
    expect(page.locator("#live")).to_have_text("… reconnecting", timeout=15_000)
    site.post(f"/tasks/{task_id}/replies", {"text": "said while nobody listened"})
    line.mend()
    expect(page.locator("#live")).to_have_text("● live", timeout=30_000)
    expect(page.locator(".thread > li", has_text="said while nobody listened")).to_have_count(1)
    ids = page.evaluate("Array.from(document.querySelectorAll('.thread [id]'), (each) => each.id)")
    assert len(ids) == len(set(ids)) == len(site.get(f"/tasks/{task_id}/messages"))
    site.post(f"/tasks/{task_id}/stop", {})
    ada.status("cancelled")
    line.close()


def test_a_reader_is_only_moved_at_the_end_of_the_thread(window: Open, site: Site) -> None:
    lines = "for n in 1 2 3 4 5 6 7 8; do echo step $n; done; sleep 60"
    task_id = site.start("talk much", "murmur", ["sh", "-c", lines])
    above, below = window("ada", phone=True), window("ada", phone=True)
    for each in (above, below):
        each.open(task_id)
        expect(each.page.locator(".attempt li", has_text="step 8")).to_be_visible(timeout=60_000)
    above.page.evaluate("window.scrollTo(0, 0)")
    below.page.locator(".attempt li", has_text="step 8").scroll_into_view_if_needed()
    for number in range(6):
        site.post(f"/tasks/{task_id}/replies", {"text": f"more words {number}"})
    for each in (above, below):
        expect(each.page.locator(".thread > li", has_text="more words 5")).to_be_attached(timeout=30_000)
    assert above.page.evaluate("window.scrollY") == 0
    expect(below.page.locator(".thread > li").last).to_be_in_viewport()
    site.post(f"/tasks/{task_id}/stop", {})
