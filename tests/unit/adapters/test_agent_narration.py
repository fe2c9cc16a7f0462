"""Few lines, clean lines, no secrets."""

import pytest

from greylag.adapters.agents.narration import LINES_A_RUN, LINES_AT_ONCE, Narrator, tool_line


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []

    async def __call__(self, line: str) -> None:
        self.lines.append(line)


async def test_flood_is_held_back_and_the_newest_line_is_told_at_the_end() -> None:
    told = Told()
    narrator = Narrator(told, monotonic=Clock())
    for number in range(1000):
        await narrator.say(f"line {number}")
    await narrator.finish()
    assert told.lines == [*(f"line {number}" for number in range(LINES_AT_ONCE)), "line 999"]


async def test_lines_flow_again_with_time_and_end_with_the_run_s_cap() -> None:
    told, clock = Told(), Clock()
    narrator = Narrator(told, monotonic=clock)
    for number in range(LINES_A_RUN * 2):
        clock.now += 10
        await narrator.say(f"line {number}")
    assert len(told.lines) == LINES_A_RUN


async def test_empty_and_repeated_lines_are_not_told() -> None:
    told = Told()
    narrator = Narrator(told, monotonic=Clock())
    for line in ("a", "a", " ", "\x1b[2J", "a\n", "b"):
        await narrator.say(line)
    await narrator.finish()
    assert told.lines == ["a", "b"]


async def test_token_is_masked_even_in_bytes() -> None:
    told = Told()
    narrator = Narrator(told, secrets=("tok_123", ""), monotonic=Clock())
    await narrator.say(b"env says tok_123!")
    assert told.lines == ["env says [secret]!"]


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("Edit", {"file_path": "/workspace/src/queue.py"}, "edits src/queue.py"),
        ("Write", {"file_path": "/etc/passwd"}, "writes /etc/passwd"),
        ("Bash", {"command": "pytest -q"}, "runs pytest -q"),
        ("Grep", {"pattern": "def pop"}, "searches for def pop"),
        ("Bash", {"command": 7}, "uses Bash"),
        ("Edit", {}, "uses Edit"),
        ("WebFetch", {"url": "http://x"}, "uses WebFetch"),
    ],
)
def test_tool_uses_in_words(name: str, arguments: dict[str, object], line: str) -> None:
    assert tool_line(name, arguments) == line
