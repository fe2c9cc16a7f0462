"""The web thread's wrong turns: who may not, what is stale, what is asked back, and pages without scripts."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from browser_stage import Site, Window
from playwright.sync_api import expect

Open = Callable[..., Window]
APPROVE = re.compile("^Approve, merge and release")


def test_signing_in_with_a_wrong_token_and_out(window: Open, site: Site) -> None:
    one = window()
    page = one.page
    one.provoked("status of 403")
    page.goto("/")
    for wrong in ("glp_nobody", "' OR 1=1 --", "\u202e", "x" * 200):
        page.get_by_label("Your token").fill(wrong)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("No person has this token.")
    assert one.audit() == []
    one.shot("wrong-token")
    page.get_by_label("Your token").fill(f" {site.tokens['ada']} ")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What should change?")
    (cookie,) = one.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert one.context.cookies() == []
    page.goto("/tasks/task_00000000000000000000000000")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")


@pytest.mark.parametrize("where", ["//evil.example/", "https://evil.example/", "/tasks/..//evil.example", "/\\evil"])
def test_a_sign_in_leads_nowhere_else(site: Site, where: str) -> None:
    answer = httpx.post(f"{site.url}/login", data={"token": site.tokens["ada"], "wanted": where}, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_an_approval_of_what_is_no_longer_up_is_a_clear_page(window: Open, site: Site, tmp_path: Path) -> None:
    task = site.waiting()
    grace = window("grace")
    page = grace.open(task)
    expect(page.get_by_role("button", name=APPROVE)).to_be_visible()
    seen = page.locator("#decide code").inner_text()
    # As a page that lost its connection, or has none: it never hears of the follow-up.
    page.evaluate("disconnect()")
    site.post(f"/tasks/{task['task_id']}/replies", {"text": "and more"})
    task = site.rest(task["task_id"])
    assert task["subject"] != seen
    page.get_by_role("button", name=APPROVE).click()

    grace.provoked("status of 409")
    expect(page.get_by_role("heading", level=1)).to_have_text("That did not work")
    expect(page.get_by_role("alert")).to_contain_text("is not what is up for review now")
    expect(page.locator("main")).to_contain_text("GL-APPROVE-003")
    grace.shot("stale")
    assert grace.audit() == []
    assert site.get(f"/tasks/{task['task_id']}")["approved_by"] == []
    page.get_by_role("link", name="Open the thread as it is now").click()
    assert page.locator("#decide code").inner_text() == task["subject"]
    page.get_by_role("button", name=APPROVE).click()
    grace.status("merged")


def test_who_steers_cannot_approve_and_is_told_before(window: Open, site: Site, tmp_path: Path) -> None:
    task = site.waiting()
    grace = window("grace")
    page = grace.open(task)
    expect(page.locator("#steering")).to_have_text("Who steers a change can't approve it afterwards.")
    page.get_by_label("Say more").fill("use other words")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".card")).to_have_count(2, timeout=60_000)
    expect(page.locator("#words")).to_have_text("It waits for a reviewer: lin.")
    expect(page.locator("#decide")).to_contain_text("You steered this, so somebody else approves it.")
    assert page.get_by_role("button", name=APPROVE).count() == 0


def test_roles_decide_what_is_offered(window: Open, site: Site, tmp_path: Path) -> None:
    task = site.waiting()
    lin, otto = window("lin"), window("otto")
    lin.page.goto("/")
    expect(lin.page.locator("main")).to_contain_text("Asking needs the role requester (you have: reviewer).")
    lin.open(task)
    assert lin.page.get_by_role("button", name=APPROVE).count() == 1
    assert lin.page.get_by_role("button", name=re.compile("Send|Stop")).count() == 0
    otto.open(task)
    expect(otto.page.locator("#decide")).to_contain_text("Approving needs the role reviewer (you have: auditor).")
    assert otto.page.get_by_role("button").all_inner_texts() == ["Sign out"]
    assert lin.audit() == otto.audit() == []
    otto.shot("auditor")


def test_a_question_is_answered_from_a_list(window: Open, site: Site, tmp_path: Path) -> None:
    first = site.repository(tmp_path, {"a": "a"}, keywords=["zither"])
    second = site.repository(tmp_path, {"a": "a"}, keywords=["zither"])
    ada = window("ada", phone=True)
    page = ada.page
    page.goto("/")
    page.get_by_label("In plain language").fill("the zither is out of tune, fix it")
    page.get_by_role("button", name="Ask").click()

    ada.status("asked")
    expect(page.locator("#words")).to_contain_text("It waits for an answer")
    page.get_by_role("link", name="Answer").click()
    picker = page.get_by_role("button", name=re.compile("^small"))
    assert {first, second} <= set(picker.all_inner_texts())
    assert ada.audit() == []
    ada.shot("question")
    page.get_by_role("button", name=second, exact=True).click()

    expect(page.locator("#facts")).to_contain_text(second, timeout=60_000)
    expect(page.locator(".thread > li.text", has_text=second).first).to_be_visible()
    if page.get_by_role("button", name="Stop this task").count():
        page.get_by_role("button", name="Stop this task").click()
        ada.status("cancelled")


def test_a_question_in_words_is_answered_in_the_box(window: Open, site: Site, tmp_path: Path) -> None:
    name = site.repository(tmp_path, {"a": "a"})
    ada = window(java_script_enabled=False)
    ada.sign_in("ada")
    page = ada.page
    page.goto("/")
    page.get_by_label("In plain language").fill("please fix it")
    page.get_by_label("Repository").select_option(name)
    page.get_by_role("button", name="Ask").click()
    task_id = page.url.rsplit("/", 1)[1]
    task = site.until(task_id, lambda task: task["status"] == "asked")
    assert (task["question_about"], task["choices"]) == ("wording", [])
    page.reload()
    page.get_by_label(task["question"]).fill("the file a should say b")
    ada.shot("wording")
    page.get_by_role("button", name="Answer").click()
    expect(page.locator(".thread > li", has_text="the file a should say b").first).to_be_visible()
    site.until(task_id, lambda task: task["status"] != "asked")
    site.post(f"/tasks/{task_id}/stop", {})


def test_what_is_live_is_answered_in_the_thread(window: Open, site: Site) -> None:
    ada = window("ada", phone=True)
    page = ada.page
    page.goto("/")
    page.get_by_label("In plain language").fill("what is live in murmur?")
    page.get_by_role("button", name="Ask").click()
    ada.status("answered")
    expect(page.locator("#words")).to_have_text("Answered.")
    expect(page.locator(".thread > li").last).to_contain_text("staging")
    expect(page.get_by_role("button", name=re.compile("Send|Stop|Approve"))).to_have_count(0)
    assert ada.audit() == []
    ada.shot("answered")


def test_more_is_said_for_now_or_for_later_without_scripts(window: Open, site: Site, tmp_path: Path) -> None:
    name = site.repository(tmp_path, {"a": "a"})
    task_id = site.start("wait for ever", name, ["sh", "-c", "echo waiting; sleep 60"])
    site.until(task_id, lambda task: task["status"] == "working")
    ada = window(java_script_enabled=False)
    ada.sign_in("ada")
    page = ada.open(task_id)
    assert page.get_by_role("radio").count() == 4
    expect(page.get_by_label("as my words say")).to_be_checked()
    page.get_by_label("Say more").fill("then write b too")
    page.get_by_label("afterwards: the next round begins with it").check()
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".thread")).to_contain_text("Noted; it comes next.")
    page.get_by_label("Say more").fill("write c only")
    page.get_by_label("now: instead of what it does").check()
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".thread")).to_contain_text("Dropping what is under way")
    page.get_by_role("link", name="What are you doing?").click()
    expect(page.locator("#doing pre")).to_contain_text("Now: ")
    assert ada.audit() == []
    page.get_by_role("button", name="Stop this task").click()
    site.until(task_id, lambda task: task["ended"])


def test_what_a_mode_can_be_is_checked(site: Site, tmp_path: Path) -> None:
    task_id = site.start("wait for ever", site.repository(tmp_path, {"a": "a"}), ["sh", "-c", "sleep 60"])
    answer = httpx.post(
        f"{site.url}/tasks/{task_id}/reply", data={"text": "x", "mode": "sudo"}, trust_env=False,
        cookies={"greylag_session": site.tokens["ada"]},
    )  # fmt: skip
    assert (answer.status_code, "GL-STEER-001" in answer.text) == (400, True)
    assert site.call("POST", f"/tasks/{task_id}/replies", {"text": "x", "mode": "sudo"}).status_code == 400
    site.post(f"/tasks/{task_id}/stop", {})


@pytest.mark.parametrize(("kind", "status"), [("build", 200), ("diff", 200), ("sudo", 404), ("evidence", 200)])
def test_what_is_downloaded_is_a_file_or_a_page_that_says_why_not(site: Site, kind: str, status: int) -> None:
    task = site.waiting()
    address = f"{site.url}/tasks/{task['task_id']}/download/{kind}"
    nobody = httpx.get(address, trust_env=False)
    assert (nobody.status_code, nobody.headers["location"].partition("?")[0]) == (303, "/login")
    got = httpx.get(address, trust_env=False, cookies={"greylag_session": site.tokens["lin"]})
    assert got.status_code == status
    shown = got.headers.get("content-disposition", "")
    assert shown.startswith("attachment; ") if status == 200 else "Next: " in got.text


def test_a_running_agent_is_stopped(window: Open, site: Site, tmp_path: Path) -> None:
    name = site.repository(tmp_path, {"a": "a"})
    task_id = site.start("wait for ever", name, ["sh", "-c", "echo waiting; sleep 60"])
    ada = window("ada")
    page = ada.open(task_id)
    expect(page.locator(".attempt")).to_contain_text("waiting", timeout=60_000)
    page.get_by_role("button", name="Stop this task").click()
    ada.status("cancelled", timeout=20_000)
    expect(page.locator("#words")).to_contain_text("Stopped")
    expect(page.locator("#live")).to_have_text("ended")
    assert page.get_by_role("button").all_inner_texts() == ["Sign out"]
    assert ada.audit() == []


def test_a_change_is_rejected_without_scripts(window: Open, site: Site, tmp_path: Path) -> None:
    task = site.waiting()
    grace = window(java_script_enabled=False)
    page = grace.page
    page.goto(f"/tasks/{task['task_id']}")
    page.get_by_label("Your token").fill(site.tokens["grace"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#live")).to_have_text("not live: load again")
    expect(page.locator(".card")).to_contain_text("Ready for review")
    expect(page.locator("#words")).to_contain_text("It waits for you")
    page.get_by_text("begins, attempt 1").click()
    page.locator("#actions").get_by_role("link", name=re.compile("^Diff")).click()
    expect(page.locator(".row.plus")).to_have_text("+new")
    page.get_by_role("link", name="Back to the decision").click()
    page.get_by_label("Why not").fill("<b>not</b> like this")
    page.get_by_role("button", name="Reject").click()
    expect(page.locator("#words")).to_have_text("Rejected: <b>not</b> like this")
    grace.shot("rejected")
    assert site.get(f"/tasks/{task['task_id']}")["status"] == "rejected"


def test_words_that_are_being_typed_stay(window: Open, site: Site, tmp_path: Path) -> None:
    name = site.repository(tmp_path, {"a": "a"})
    task_id = site.start("change it", name, ["sh", "-c", "sleep 2; echo b > a"])
    ada = window("ada")
    page = ada.open(task_id)
    field = page.get_by_label("Say more")
    field.press_sequentially("and please")
    expect(page.locator("#decide")).to_be_visible(timeout=60_000)
    assert page.evaluate("document.activeElement.id") == "text"
    field.press_sequentially(" quickly")
    assert field.input_value() == "and please quickly"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "seen"),
    [
        ("GET", "/nowhere", None, 404, "GL-WEB-005"),
        ("GET", "/tasks/task_00000000000000000000000000", None, 404, "GL-TASK-001"),
        ("GET", "/tasks/task_00000000000000000000000000/see/diff", None, 404, "GL-TASK-001"),
        ("POST", "/ask", {"text": " "}, 400, "GL-INTAKE-001"),
        ("POST", "/ask", {"text": "x" * 70_000}, 422, "GL-WEB-004"),
        ("POST", "/ask", {"text": "x" * 2_000_000}, 413, "GL-WEB-003"),
        ("POST", "/ask", {"text": "x", "repository": "<script>pwned=1</script>"}, 404, "GL-REPO-001"),
        ("POST", "/tasks/task_00000000000000000000000000/approve", {"subject": ""}, 409, "GL-APPROVE-003"),
        ("GET", "/tasks/task_00000000000000000000000000/stream?after=" + "9" * 30, None, 422, "GL-WEB-004"),
        ("GET", "/?before=%27", None, 422, "GL-WEB-004"),
    ],
)
def test_errors_are_pages_with_a_next_step(
    site: Site, method: str, path: str, body: dict[str, str] | None, status: int, seen: str
) -> None:
    cookies = {"greylag_session": site.tokens["ada"]}
    with httpx.Client(base_url=site.url, cookies=cookies, trust_env=False) as client:
        answer = client.request(method, path, data=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert seen in answer.text
    assert "Next: " in answer.text
    assert "<script>pwned" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "Sign out" in answer.text


@pytest.mark.parametrize("last", ["²", "-1", "9" * 400, "1;2", ""])
def test_a_strange_last_event_id_is_no_error(site: Site, tmp_path: Path, last: str) -> None:
    task_id = site.start("x", site.repository(tmp_path, {"a": "a"}), ["true"])
    site.post(f"/tasks/{task_id}/stop", {})
    cookies = {"greylag_session": site.tokens["ada"]}
    headers = {"last-event-id": last.encode("latin-1")}
    with (
        httpx.Client(base_url=site.url, cookies=cookies, trust_env=False, timeout=30) as client,
        client.stream("GET", f"/tasks/{task_id}/stream", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert next(answer.iter_lines()).startswith("id: 1")
