"""Blocks of messages and views, as strictly as Slack documents them. A block that is not listed here is refused."""

import json
from collections.abc import Callable
from typing import Any

from greylag.app.fake_slack.world import elements
from greylag.app.fake_slack.world.problems import PLAIN, Problems
from greylag.app.fake_slack.world.records import Json

MOST_IN_MESSAGE = 50
MOST_IN_VIEW = 100
#: What a message's blocks may hold together, and what each further block costs of it: as others measured it, for Slack
#: documents neither (bolt-js issue 2509).
_LONGEST_TOGETHER = 13_297
_EACH_BLOCK = 125
LONGEST_MARKDOWN = 12_000
STATUSES = ("pending", "in_progress", "complete", "error")


def check_blocks(value: Any, surface: str, where: str = "/blocks", most: int = 0) -> list[str]:
    """Return what is wrong with the blocks for ``surface`` ∈ message, modal, home."""
    problems = Problems(surface)
    most = most or (MOST_IN_MESSAGE if surface == "message" else MOST_IN_VIEW)
    listed = problems.items(value, where, most, fewest=0)
    for number, block in enumerate(listed):
        check_block(problems, block, f"{where}/{number}")
    if problems.markdown_length > LONGEST_MARKDOWN:
        problems.wrong(f"markdown text must be less than {LONGEST_MARKDOWN + 1} characters together", where)
    if sum(isinstance(block, dict) and block.get("type") == "table" for block in listed) > 1:
        problems.wrong("only_one_table_allowed", where)
    return problems.said


def too_long(blocks: list[Json]) -> bool:
    """Return whether the blocks hold more than Slack takes in one message."""
    return sum(map(len, strings(blocks))) + _EACH_BLOCK * (len(blocks) - 1) > _LONGEST_TOGETHER


def strings(value: Any) -> list[str]:
    """Return every text in blocks."""
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    if not isinstance(value, dict):
        return []
    own = [text for name, text in value.items() if name in ("text", "title", "alt_text") and isinstance(text, str)]
    return own + [text for each in value.values() if isinstance(each, list | dict) for text in strings(each)]


def check_block(problems: Problems, block: Any, where: str) -> None:
    """Check one block."""
    kind = block.get("type") if isinstance(block, dict) else None
    check = _CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        problems.wrong(f"unsupported type: {kind}", where + "/type")
        return
    block_id = block.get("block_id")
    if block_id is not None and problems.string(block_id, where + "/block_id", 255):
        if block_id in problems.block_ids:
            problems.wrong(f"`block_id` already exists: {block_id}", where + "/block_id")
        problems.block_ids.add(block_id)
    check(problems, block, where)


def _section(problems: Problems, block: Json, where: str) -> None:
    problems.fields(block, where, (), ("text", "fields", "accessory", "expand"))
    if block.get("text") is None and not block.get("fields"):
        problems.wrong("must have one of: text, fields", where)
    if block.get("text") is not None:
        problems.text(block["text"], where + "/text", 3000)
    if block.get("fields") is not None:
        for number, each in enumerate(problems.items(block["fields"], where + "/fields", 10)):
            problems.text(each, f"{where}/fields/{number}", 2000)
    if block.get("accessory") is not None:
        elements.check_element(problems, block["accessory"], where + "/accessory", elements.IN_SECTION)


def _header(problems: Problems, block: Json, where: str) -> None:
    if problems.fields(block, where, ("text",), ("level",)):
        problems.text(block["text"], where + "/text", 150, PLAIN)


def _divider(problems: Problems, block: Json, where: str) -> None:
    problems.fields(block, where, (), ())


def _image(problems: Problems, block: Json, where: str) -> None:
    if problems.fields(block, where, ("alt_text",), ("image_url", "slack_file", "title")):
        elements.check_image(problems, block, where)
        if block.get("title") is not None:
            problems.text(block["title"], where + "/title", 2000, PLAIN)


def _elements(problems: Problems, block: Json, where: str, most: int, allowed: tuple[str, ...]) -> None:
    if not problems.fields(block, where, ("elements",), ()):
        return
    seen: set[str] = set()
    for number, each in enumerate(problems.items(block["elements"], where + "/elements", most)):
        place = f"{where}/elements/{number}"
        if isinstance(each, dict) and each.get("type") in ("plain_text", "mrkdwn") and block["type"] == "context":
            problems.text(each, place, 2000)
            continue
        action_id = elements.check_element(problems, each, place, allowed)
        if action_id and action_id in seen:
            problems.wrong(f"`action_id` {action_id} already exists for block", place + "/action_id")
        seen.add(action_id)


def _actions(problems: Problems, block: Json, where: str) -> None:
    _elements(problems, block, where, 25, elements.IN_ACTIONS)


def _context(problems: Problems, block: Json, where: str) -> None:
    _elements(problems, block, where, 10, ("image",))


def _context_actions(problems: Problems, block: Json, where: str) -> None:
    _elements(problems, block, where, 5, elements.IN_CONTEXT_ACTIONS)


def _input(problems: Problems, block: Json, where: str) -> None:
    if problems.fields(block, where, ("label", "element"), ("hint", "optional", "dispatch_action")):
        problems.text(block["label"], where + "/label", 2000, PLAIN)
        elements.check_element(problems, block["element"], where + "/element", elements.IN_INPUT)
        if block.get("hint") is not None:
            problems.text(block["hint"], where + "/hint", 2000, PLAIN)


def _markdown(problems: Problems, block: Json, where: str) -> None:
    if problems.fields(block, where, ("text",), ()) and problems.string(
        block["text"], where + "/text", LONGEST_MARKDOWN
    ):
        problems.markdown_length += len(block["text"])


def _rich_text(problems: Problems, block: Json, where: str) -> None:
    if problems.fields(block, where, ("elements",), ()):
        for number, each in enumerate(problems.items(block["elements"], where + "/elements", 1000)):
            elements.check_rich_text(problems, each, f"{where}/elements/{number}")


def _table(problems: Problems, block: Json, where: str) -> None:
    if not problems.fields(block, where, ("rows",), ("column_settings",)):
        return
    for number, row in enumerate(problems.items(block["rows"], where + "/rows", 100)):
        for column, cell in enumerate(problems.items(row, f"{where}/rows/{number}", 20)):
            place = f"{where}/rows/{number}/{column}"
            if not isinstance(cell, dict) or cell.get("type") not in ("raw_text", "raw_number", "rich_text"):
                problems.wrong("unsupported type of cell", place)
            elif cell["type"] == "rich_text":
                _rich_text(problems, cell, place)


def _task_card(problems: Problems, block: Json, where: str) -> None:
    if not problems.fields(block, where, ("task_id", "title", "status"), ("details", "output", "sources")):
        return
    problems.string(block["title"], where + "/title", 2000)
    problems.choice(block["status"], where + "/status", STATUSES)
    for name in ("details", "output"):
        if block.get(name) is not None and problems.fields(block[name], f"{where}/{name}", ("elements",), ()):
            problems.choice(block[name].get("type"), f"{where}/{name}/type", ("rich_text",))
            _rich_text(problems, block[name], f"{where}/{name}")
    check_sources(problems, block.get("sources") or [], where + "/sources")


def check_sources(problems: Problems, value: Any, where: str) -> None:
    """Check the links below a task."""
    for number, each in enumerate(problems.items(value, where, 100, fewest=0)):
        place = f"{where}/{number}"
        if problems.fields(each, place, ("url", "text"), ()):
            problems.choice(each.get("type"), place + "/type", ("url",))
            problems.url(each["url"], place + "/url")
            problems.string(each["text"], place + "/text", 3000)


def _plan(problems: Problems, block: Json, where: str) -> None:
    if problems.fields(block, where, ("title",), ("tasks",)):
        problems.string(block["title"], where + "/title", 2000)
        for number, each in enumerate(problems.items(block.get("tasks") or [], where + "/tasks", 100, fewest=0)):
            _task_card(problems, each, f"{where}/tasks/{number}")


def _alert(problems: Problems, block: Json, where: str) -> None:
    if problems.fields(block, where, ("text",), ("level",)):
        problems.text(block["text"], where + "/text", 3000)
        if block.get("level") is not None:
            problems.choice(block["level"], where + "/level", ("default", "info", "warning", "error", "success"))


_CHECKS: dict[str, Callable[[Problems, Json, str], None]] = {
    "section": _section, "header": _header, "divider": _divider, "image": _image, "actions": _actions,
    "context": _context, "context_actions": _context_actions, "input": _input, "markdown": _markdown,
    "rich_text": _rich_text, "table": _table, "task_card": _task_card, "plan": _plan, "alert": _alert,
}  # fmt: skip


def check_view(value: Any) -> list[str]:
    """Return what is wrong with a modal or a home."""
    problems = Problems("modal")
    if not isinstance(value, dict) or value.get("type") not in ("modal", "home"):
        problems.wrong("must be one of: modal, home", "/view/type")
        return problems.said
    kind = value["type"]
    own = (
        ("title", "close", "submit", "clear_on_close", "notify_on_close", "submit_disabled") if kind == "modal" else ()
    )
    needed = ("title",) if kind == "modal" else ()
    problems.fields(value, "/view", needed, ("blocks", "private_metadata", "callback_id", "external_id", *own))
    for name in ("title", "close", "submit"):
        if value.get(name) is not None:
            problems.text(value[name], f"/view/{name}", 24, PLAIN)
    for name, longest in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        if value.get(name) is not None:
            problems.string(value[name], f"/view/{name}", longest, shortest=0)
    problems.said += check_blocks(value.get("blocks"), kind, "/view/blocks")
    listed = value["blocks"] if isinstance(value.get("blocks"), list) else []
    inputs = any(isinstance(each, dict) and each.get("type") == "input" for each in listed)
    if kind == "modal" and inputs and value.get("submit") is None:
        problems.wrong("missing required field: submit, as there are input blocks", "/view")
    if len(json.dumps(value)) > 250_000:
        problems.wrong("view_too_large", "/view")
    return problems.said


def with_ids(blocks: list[Json], fresh: Callable[[], str]) -> list[Json]:
    """Return blocks as Slack gives them back: each with a ``block_id``, each element with an ``action_id``."""
    found = []
    for block in blocks:
        made = {**block, "block_id": block.get("block_id") or fresh()}
        if isinstance(block.get("elements"), list) and block["type"] in ("actions", "context_actions"):
            made["elements"] = [_with_action(each, fresh) for each in block["elements"]]
        for name in ("accessory", "element"):
            if isinstance(block.get(name), dict):
                made[name] = _with_action(block[name], fresh)
        found.append(made)
    return found


def _with_action(element: Json, fresh: Callable[[], str]) -> Json:
    return element if element.get("type") == "image" else {**element, "action_id": element.get("action_id") or fresh()}
