"""Collecting what is wrong with blocks, in Slack's words: ``[ERROR] … [json-pointer:/blocks/0/text]``."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

PLAIN = ("plain_text",)
ANY_TEXT = ("plain_text", "mrkdwn")


@dataclass(slots=True)
class Problems:
    """What is wrong. ``surface`` ∈ message, modal, home; ``names`` are the file ids there are."""

    surface: str
    said: list[str] = field(default_factory=list)
    block_ids: set[str] = field(default_factory=set)
    markdown_length: int = 0

    def wrong(self, what: str, where: str) -> None:
        """Note a problem at the JSON pointer ``where``."""
        self.said.append(f"[ERROR] {what} [json-pointer:{where}]")

    def fields(self, value: Any, where: str, needed: Iterable[str], allowed: Iterable[str]) -> bool:
        """Check that something is an object that has what it needs and nothing unknown; return whether it has that."""
        if not isinstance(value, dict):
            self.wrong("must be an object", where)
            return False
        missing = [name for name in needed if value.get(name) in (None, "", [])]
        for name in missing:
            self.wrong(f"missing required field: {name}", where)
        for name in sorted(set(value) - {*needed, *allowed, "type", "block_id"}):
            self.wrong(f"invalid additional property: {name}", where)
        return not missing

    def string(self, value: Any, where: str, longest: int, shortest: int = 1) -> bool:
        """Check a string and its length in characters."""
        if not isinstance(value, str):
            self.wrong("must be a string", where)
            return False
        if len(value) > longest:
            self.wrong(f"must be less than {longest + 1} characters", where)
        if len(value) < shortest:
            self.wrong(f"must be more than {shortest - 1} characters", where)
        return True

    def choice(self, value: Any, where: str, among: Iterable[str]) -> None:
        """Check that a value is one of a few."""
        if value not in (names := list(among)):
            self.wrong(f"must be one of: {', '.join(names)}", where)

    def text(self, value: Any, where: str, longest: int, kinds: tuple[str, ...] = ANY_TEXT) -> None:
        """Check a text object."""
        if not isinstance(value, dict) or value.get("type") not in kinds:
            self.wrong(f"must be a text object of type: {' or '.join(kinds)}", where)
            return
        own = ("emoji",) if value["type"] == "plain_text" else ("verbatim",)
        self.fields(value, where, (), ("text", *own))
        self.string(value.get("text"), where + "/text", longest)

    def items(self, value: Any, where: str, most: int, fewest: int = 1) -> list[Any]:
        """Check an array and its length; return what can be looked at further."""
        if not isinstance(value, list):
            self.wrong("must be an array", where)
            return []
        if len(value) > most:
            self.wrong(f"no more than {most} items allowed", where)
        if len(value) < fewest:
            self.wrong(f"no fewer than {fewest} items allowed", where)
        return value[: most + 1]

    def url(self, value: Any, where: str, schemes: tuple[str, ...] = ("http://", "https://")) -> None:
        """Check a URL that the client would open or fetch."""
        if self.string(value, where, 3000) and not value.startswith(schemes):
            self.wrong("must be a valid URL", where)


class SlackError(Exception):
    """Slack's no: ``error`` is its name of it, ``messages`` are the details beside it. Never leaves the stand-in."""

    def __init__(self, error: str, messages: Iterable[str] = (), **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.messages = tuple(messages)
        self.more = more
