"""A task's thread as the platform has it, against the same thread as a chat shows it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

from greylag.adapters.vault.backends.local import LocalVault
from greylag.app.bootstrap import open_stores
from greylag.app.fake_slack import Workspace
from greylag.app.settings import load_settings
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference

#: How the stand-in reads a step of a live card aloud.
_STEP = re.compile(r"^ *[○…✓✗] (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    """One message as a chat shows it: by the bot or a person, its words, and the steps of a live card."""

    by_bot: bool
    text: str
    steps: tuple[str, ...] = ()


def assert_same_thread(own: Sequence[Any], shown: Sequence[Shown], typed: Sequence[str]) -> None:
    """Each message of the ``own`` thread stands in the chat exactly once, in its order; nothing else does.

    ``typed`` is what people typed in that chat, as the own thread has it. The bot brought all the rest there, and a run
    of progress, up to the next message of anybody, is one live card that names each of its steps once.
    """
    here = [_flat(each.text) for each in shown if not each.by_bot]
    assert len(here) == len(typed), here
    assert all(_flat(text) in each for text, each in zip(typed, here, strict=True)), here
    assert [each["text"] for each in own if each["text"] in typed] == list(typed)
    expected = [
        (kind == "progress", [each["text"] for each in run])
        for kind, messages in groupby(own, lambda each: each["kind"])
        for run in ([list(messages)] if kind == "progress" else [[each] for each in messages])
        if run[0]["text"] not in typed
    ]
    ours = [each for each in shown if each.by_bot]
    listing = "\n".join(f"{each.text!r} {each.steps}" for each in ours)
    assert len(ours) == len(expected), f"{len(expected)} expected of {expected}\nshown:\n{listing}"
    for (is_card, texts), each in zip(expected, ours, strict=True):
        if is_card:
            assert [_flat(text) for text in texts] == [_flat(step) for step in each.steps], listing
        else:
            assert _flat(texts[0].splitlines()[0]) in _flat(each.text), listing


def shown_in_slack(slack: Workspace, root: str) -> list[Shown]:
    """Return what everybody reads in the thread of ``root``."""
    shown = []
    for each in slack.thread(root):
        text = "\n".join(slack.lines(each)).partition(": ")[2]
        steps = tuple(_STEP.findall(text)) if each.stream is not None else ()
        shown.append(Shown(each.user == slack.bot.id, text, steps))
    return shown


def reached_the_agent(home: Path, task_id: str, words: str) -> bool:
    """Whether an agent was given ``words``: told while it worked, or in the prompt of its next try."""
    control, ledger, _ = open_stores(load_settings(home, {}), home)
    vault, subject = LocalVault(home / "cells" / "local" / "vault", "local"), TaskId(task_id)
    try:
        events = [record.event for record in control.events.read(subject)]
        values = [getattr(event, each.name) for event in events for each in fields(event)]
        kept = {each for each in values if isinstance(each, Reference) and each.kind in ("prompt", "transcript")}
        return any(words.encode() in vault.get(each, subject=subject) for each in kept)
    finally:
        ledger.close()
        control.close()


def _flat(text: str) -> str:
    return " ".join(text.split())
