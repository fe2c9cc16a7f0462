"""The two surfaces beside messages: a form that asks for words, and a person's home."""

import json
from collections.abc import Mapping
from typing import Any

from greylag.adapters.chat.backends.slack.blocks import (
    Block,
    Carried,
    context,
    link_button,
    plain,
    section,
)
from greylag.adapters.chat.backends.slack.inert import line, visible
from greylag.adapters.chat.backends.slack.reading import Click, Us, is_id, is_ts
from greylag.adapters.chat.port import Heard, Home, HomeEntry
from greylag.domain.conversation import Conversation

ASKING = "greylag:ask"
_WORDS = "words"
_MODE = "mode"
_LONGEST_WORDS = 3_000
_MOST_ENTRIES = 40


def form(click: Click, carried: Carried) -> Block | None:
    """Return the form that asks for the words of ``carried``, None where it can't bring everything back.

    It says nothing that the click did not bring: its texts were part of the message.
    """
    place = click.conversation
    brought = {
        "verb": carried.verb, "value": carried.value, "task_id": carried.task_id, "channel": place.room,
        "thread": place.thread, "message": click.message_id,
    }  # fmt: skip
    metadata = json.dumps(brought, separators=(",", ":"))
    if len(metadata) > 3_000:
        return None
    asked: Block = {
        "type": "input", "block_id": _WORDS, "label": plain(line(carried.asks, 140)),
        "element": {
            "type": "plain_text_input", "action_id": _WORDS, "multiline": True, "max_length": _LONGEST_WORDS,
            "focus_on_load": True,
        },
    }  # fmt: skip
    view = {
        "type": "modal", "callback_id": ASKING, "private_metadata": metadata, "title": plain("Greylag"),
        "submit": plain("Send"), "close": plain("Cancel"), "blocks": [asked],
    }  # fmt: skip
    if carried.modes:
        options = [{"text": plain(line(each, 70)), "value": each} for each in carried.modes]
        view["blocks"] = [
            asked,
            {
                "type": "input", "block_id": _MODE, "label": plain("How"),
                "element": {
                    "type": "static_select", "action_id": _MODE, "options": options, "initial_option": options[0],
                },
            },
        ]  # fmt: skip
    return view


def submitted(us: Us, body: Mapping[str, Any]) -> Heard | dict[str, str] | None:
    """Return what a sent form says; else what is wrong with it, by field; None for no form of ours."""
    view = body.get("view")
    user = body.get("user")
    if not isinstance(view, dict) or not isinstance(user, dict) or view.get("callback_id") != ASKING:
        return None
    brought = _brought(view.get("private_metadata"))
    author, view_id = user.get("id"), view.get("id")
    if brought is None or not is_id(author) or not isinstance(view_id, str):
        return None
    words = _value(view, _WORDS, "value").strip()
    if not words:
        return {_WORDS: "Write something, or cancel."}
    mode = _value(view, _MODE, "selected_option")
    team = user.get("team_id") or us.team
    name = user.get("username") or user.get("name")
    return Heard(
        f"view/{view_id[:60]}", "click", Conversation(us.source, brought["channel"], brought["thread"]), str(author),
        brought["message"], text=words[:_LONGEST_WORDS], verb=brought["verb"], value=brought["value"],
        task_id=brought["task_id"], author_name=visible(name[:80]) if isinstance(name, str) else "",
        vouched=team == us.team, mode=mode[:70],
    )  # fmt: skip


def home_view(home: Home) -> Block:
    """Return a person's home: what waits for them first, then what is theirs."""
    if home.problem:
        blocks: list[Block] = [section(line(home.problem, 1_000))]
        button = link_button("Go on", home.link, 0) if home.link else None
        blocks += [{"type": "actions", "elements": [button]}] if button else []
        return {"type": "home", "blocks": blocks}
    entries = sorted(home.entries, key=lambda each: not each.waits_for_you)[:_MOST_ENTRIES]
    waiting = [each for each in entries if each.waits_for_you]
    others = [each for each in entries if not each.waits_for_you]
    blocks = [context(f"Signed in as {line(home.person, 80)}")] if home.person else []
    blocks += _entries("Waits for you", waiting, 0) if waiting else []
    blocks += _entries("Your tasks", others, len(waiting)) if others else []
    if not entries:
        blocks.append(section("No task of yours yet. Mention me in a channel, or write to me in the Messages tab."))
    if len(home.entries) > len(entries):
        blocks.append(context(f"{len(home.entries) - len(entries)} more are not shown here."))
    return {"type": "home", "blocks": blocks}


def _entries(heading: str, entries: list[HomeEntry], start: int) -> list[Block]:
    blocks: list[Block] = [{"type": "header", "text": plain(heading)}]
    for number, entry in enumerate(entries, start):
        row = section(f"{line(entry.title, 300)}\n{line(entry.status, 60)} · {line(entry.task_id, 60)}")
        button = link_button("Open", entry.url, number)
        blocks.append({**row, "accessory": button} if button else row)
    return blocks


def _brought(metadata: object) -> dict[str, str] | None:
    names = ("verb", "value", "task_id", "channel", "thread", "message")
    if not isinstance(metadata, str) or len(metadata) > 3_000:
        return None
    try:
        found = json.loads(metadata)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        return None
    if not (is_id(found["channel"]) and is_ts(found["thread"]) and is_ts(found["message"]) and found["verb"]):
        return None
    return {name: found[name] for name in names}


def _value(view: Mapping[str, Any], block: str, name: str) -> str:
    """Return what was typed (``value``) or chosen (``selected_option``) in ``block``."""
    found: Any = view.get("state")
    for key in ("values", block, block, name):
        found = found.get(key) if isinstance(found, dict) else None
    if name == "selected_option":
        found = found.get("value") if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""
