"""Tell the thread what an agent is doing: few lines, clean lines, no secrets."""

import time
from collections.abc import Awaitable, Callable, Mapping

from greylag.adapters.agents.cleaning import display_line
from greylag.adapters.sandbox.port import WORKSPACE

LINES_AT_ONCE = 12
LINES_A_SECOND = 0.5
LINES_A_RUN = 300
_HELD_LENGTH = 4000

_TOOLS = {
    "Edit": ("edits", "file_path"), "MultiEdit": ("edits", "file_path"), "Write": ("writes", "file_path"),
    "NotebookEdit": ("edits", "notebook_path"), "Read": ("reads", "file_path"), "Bash": ("runs", "command"),
    "Grep": ("searches for", "pattern"), "Glob": ("looks for", "pattern"), "LS": ("lists", "path"),
}  # fmt: skip


class Narrator:
    """Passes lines on, cleaned, at most twelve at once, then one each two seconds, and three hundred a run.

    What comes too fast is dropped, but for the newest line, which `finish` still tells.
    """

    def __init__(
        self,
        tell: Callable[[str], Awaitable[None]],
        secrets: tuple[str, ...] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._secrets = tuple(secret for secret in secrets if secret)
        self._monotonic = monotonic
        self._allowance = float(LINES_AT_ONCE)
        self._since = monotonic()
        self._told = 0
        self._last = ""
        self._held: str | bytes = ""

    async def say(self, text: str | bytes) -> None:
        """Tell one line, unless it is empty, the same as the last, or too soon."""
        now = self._monotonic()
        self._allowance = min(LINES_AT_ONCE, self._allowance + (now - self._since) * LINES_A_SECOND)
        self._since = now
        if self._allowance < 1 or self._told >= LINES_A_RUN:
            self._held = text[:_HELD_LENGTH]  # cleaned only if it is told: a flood must cost next to nothing
            return
        line = self.clean(text)
        if line and line != self._last:
            self._allowance -= 1
            await self._pass_on(line)

    async def finish(self) -> None:
        """Tell the newest line that was held back, if any."""
        line = self.clean(self._held)
        if line and line != self._last:
            await self._pass_on(line)

    def clean(self, text: str | bytes, limit_chars: int = 200) -> str:
        """Return ``text`` as a display line without the secrets."""
        plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        for secret in self._secrets:
            plain = plain.replace(secret, "[secret]")
        return display_line(plain, limit_chars)

    async def _pass_on(self, line: str) -> None:
        self._held = ""
        self._last = line
        self._told += 1
        await self._tell(line)


def tool_line(name: str, arguments: Mapping[str, object]) -> str:
    """Return what a use of one of Claude Code's tools looks like to a person: ``edits src/queue.py``."""
    verb, argument = _TOOLS.get(name, ("", ""))
    subject = arguments.get(argument)
    if not verb or not isinstance(subject, str) or not subject.strip():
        return f"uses {name}"
    return f"{verb} {subject.strip().removeprefix(WORKSPACE + '/')}"
