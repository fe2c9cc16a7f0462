"""Hostile texts, said, written and printed: none executes, none breaks the page, all are shown as text."""

import base64
import json
from collections.abc import Callable, Iterator

from browser_stage import Site, Window
from playwright.sync_api import Page, expect

from greylag.app.web.rendering import visible
from greylag.delivery.desk import title_of
from greylag.domain.conversation import Offer
from tests.support import hostile_strings

Open = Callable[..., Window]
#: Some of each kind: what goes the whole way by itself takes its time.
TEXTS = tuple(
    text
    for found in hostile_strings.by_kind().values()
    for text in found[::7]
    if text in hostile_strings.sayable() and len(text) <= 9000
)
BATCH = 6
LONGEST = 16_000
_WRITES = """
import base64, json, os, sys
texts = json.loads(base64.b64decode(sys.argv[1]))
for number, text in enumerate(texts):
    if number % 8 == 0:
        print(text.replace("\\n", " ")[:150], flush=True)
    name = text.replace("/", "%").replace("\\0", "").strip()[:60] or "empty"
    if (number % 4 == 0 or "\\u202e" in text or "\\0" in text) and not os.path.exists(name):
        open(name, "w", newline="", encoding="utf-8").write(text + "\\n")
open("all.txt", "w", newline="", encoding="utf-8").write("\\n".join(text for text in texts if "\\0" not in text))
"""


def batches() -> Iterator[str]:
    """The texts in few messages, each a text a line."""
    held: list[str] = []
    for text in TEXTS:
        if len(held) == BATCH or len("\n".join([*held, text])) > LONGEST:
            yield "\n".join(held)
            held = []
        held.append(text)
    yield "\n".join(held)


def said(page: Page) -> dict[str, str]:
    """Return what the page shows of each message of the thread, by its id."""
    return dict(
        page.evaluate(
            "Object.fromEntries(Array.from(document.querySelectorAll('.thread > li[id]'),"
            " (item) => [item.id, item.querySelector('pre').textContent]))"
        )
    )


def test_what_people_say_is_text(window: Open, site: Site) -> None:
    assert len(set(TEXTS)) == len(TEXTS) > 200
    task = site.start("wait for words", "murmur", ["sh", "-c", "echo waiting; sleep 120"])
    ada = window("ada", phone=True)
    page = ada.open(task)
    expect(page.locator("#live")).to_have_text("● live")
    messages = list(batches())
    for text in messages:
        site.post(f"/tasks/{task}/replies", {"text": text, "mode": "queue"})

    expected = {
        f"m{each['sequence']}": visible(each["text"].replace("\r\n", "\n"))
        for each in site.get(f"/tasks/{task}/messages")
        if each["kind"] != "progress"
    }
    assert len(expected) >= 2 * len(messages)
    kept = (text.replace("\0", "\ufffd").strip().replace("\r\n", "\n") for text in messages)  # as the desk keeps them
    assert {visible(text) for text in kept} <= set(expected.values())
    expect(page.locator(f"#{list(expected)[-1]}")).to_be_attached(timeout=30_000)
    assert said(page) == expected, "as they come by the stream"
    assert ada.audit() == []
    expect(page.locator("#live")).to_have_text("● live")
    site.post(f"/tasks/{task}/stop", {})
    ada.status("cancelled")
    page.reload()
    assert {key: text for key, text in said(page).items() if key in expected} == expected, "as they stand in the page"
    assert ada.audit() == []
    ada.shot("said")


def test_what_people_ask_for_is_text_in_lists_and_titles(window: Open, site: Site) -> None:
    asked = [f"{text[:100]} glockenspiel" for text in TEXTS[::14] if title_of(text)]
    tasks = {}
    for text in asked:
        made = site.post("/tasks", {"text": text})
        tasks[made["task_id"]] = visible(title_of(text.replace("\0", "\ufffd").strip()))
    ada = window("ada", phone=True)
    page = ada.page
    page.goto("/")
    shown_titles = page.evaluate(
        "Object.fromEntries(Array.from(document.querySelectorAll('.tasks a'),"
        " (link) => [link.pathname.split('/')[2], link.textContent]))"
    )
    assert {key: shown_titles.get(key) for key in tasks} == tasks
    assert ada.audit() == []
    ada.shot("asked")
    for task_id, title in list(tasks.items())[::6]:
        ada.open(task_id)
        assert page.locator("h1").text_content() == title
        assert ada.audit() == []


def test_what_an_agent_writes_and_prints_is_text(window: Open, site: Site) -> None:
    coded = base64.b64encode(json.dumps(TEXTS).encode()).decode()
    task = site.waiting(("python", "-c", _WRITES, coded))
    ada = window("ada", phone=True)
    page = ada.open(task)
    page.locator(".attempt summary").first.click()
    assert "<script>pwned=1</script>" in page.locator(".attempt").first.inner_text()
    assert ada.audit() == []
    ada.shot("printed")
    page.goto(f"/tasks/{task['task_id']}/see/diff")
    names = page.locator(".file h2").evaluate_all("(all) => all.map((each) => each.firstChild.textContent.trim())")
    assert sorted(names) == sorted(each.strip() for each in task["files"])
    assert len(names) > 40
    assert any("202e" in name.lower() for name in names), "shown as what it is"
    assert not any("\u202e" in name for name in names)
    assert page.get_by_text("A binary file; it can't be shown as text").count() > 0, "those with a NUL in them"
    rows = page.locator(".file", has=page.get_by_role("heading", name="all.txt")).locator(".row.plus")
    texts = rows.evaluate_all("(all) => all.map((each) => each.textContent)")
    lines = "\n".join(text for text in TEXTS if "\0" not in text).split("\n")
    assert [text[:3000] for text in texts] == ["+" + visible(line)[:2999] for line in lines]
    assert ada.audit() == []
    ada.shot("diff")


def test_all_of_them_at_once_are_a_page_like_any_other(window: Open, site: Site) -> None:
    every = hostile_strings.encodable()
    assert len(every) >= hostile_strings.LEAST
    task = site.waiting()
    groups = [every[start : start + 12] for start in range(0, len(every), 12)]
    # An offer never holds a NUL; what is said may.
    labels = [[text.replace("\0", "")[:200] or "empty" for text in group] for group in groups]
    offers = [tuple(Offer(("see", "answer")[n % 2], label, label) for n, label in enumerate(each)) for each in labels]
    said_texts = ["\n".join(group) for group in groups]
    site.say(task["task_id"], [("card", text, made) for text, made in zip(said_texts, offers, strict=True)])
    grace = window("grace", phone=True)
    page = grace.open(task)
    shown_texts = page.locator(".thread > .card > pre").evaluate_all("(all) => all.map((each) => each.textContent)")
    assert shown_texts[-len(groups) :] == [visible(text.replace("\r\n", "\n")) for text in said_texts]
    offered = page.locator(".thread > .card .past").evaluate_all("(all) => all.map((each) => each.textContent)")
    assert offered[-len(groups) :] == [f"Offered then: {visible(' · '.join(each))}" for each in labels]
    assert grace.audit() == []
    expect(page.locator("#live")).to_have_text("● live")
    page.locator("#goto").click()
    page.get_by_role("button", name="Approve, merge and release").click()
    grace.status("merged")
    grace.shot("all-at-once", whole=False)
