"""A task's thread as the platform has it, against the same thread as a chat shows it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from greylag.app.fake_slack import Workspace

#: How the stand-in reads a step of a live card aloud.
_STEP = re.compile(r"^ *[○…✓✗] (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Shown:
    """One message as a chat shows it: by the bot or a person, its words, and the steps of a live card."""

    by_bot: bool
    text: str
    steps: tuple[str, ...] = ()


def assert_same_thread(own: Sequence[Any], shown: Sequence[Shown], typed_there: int) -> None:
    """Each message of the ``own`` thread stands in the chat exactly once, in its order; nothing else does.

    ``typed_there`` of them were typed in that chat; what the bot brought there is all the rest, and a run of progress
    is one live card that names each of its steps once.
    """
    typed = [each.text for each in shown if not each.by_bot]
    assert len(typed) == typed_there
    people = [each["text"] for each in own if each["author"] != "greylag"]
    here = [text for text in people if any(_same(text, each) for each in typed)]
    assert len(here) == len(typed)
    assert all(_same(text, each) for text, each in zip(here, typed, strict=True))
    expected = [
        (kind == "progress", [each["text"] for each in run])
        for kind, messages in groupby((each for each in own if each["text"] not in here), lambda each: each["kind"])
        for run in ([list(messages)] if kind == "progress" else [[each] for each in messages])
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


def _same(own: str, typed: str) -> bool:
    return _flat(own) in _flat(typed)


def _flat(text: str) -> str:
    return " ".join(text.split())
