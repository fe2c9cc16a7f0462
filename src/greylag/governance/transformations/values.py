"""What a transformation is given and gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from greylag.domain.errors import RequestRefused
from greylag.governance.scanning.values import Findings

Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Transformed:
    """The content after a transformation.

    ``mapping`` is what undoes it, sealed under the key that was given; None where nothing does. ``replaced`` names the
    classes of what is gone from the content, ``notes`` says what somebody who reads the record should know.
    """

    content: bytes
    mapping: bytes | None = None
    replaced: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Work(Protocol):
    """What a transformation does: content, media type, what was found in it, parameters and a key → content."""

    def __call__(
        self, content: bytes, media_type: str, findings: Findings, parameters: Parameters, key: bytes | None
    ) -> Transformed:
        """Return the content after the transformation. Raises RequestRefused for what it can't do safely."""
        ...


def refused(number: str, message: str, remedy: str) -> RequestRefused:
    """Return the error ``GL-TRANSFORM-number``."""
    return RequestRefused(f"GL-TRANSFORM-{number}", message, remedy)


def number_in(parameters: Parameters, name: str, least: int, most: int) -> int:
    """Return a parameter as a number. Raises RequestRefused ``GL-TRANSFORM-002``."""
    text = parameters.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise refused(
            "002", f"parameter `{name}`: got/expected: {text[:40]!r}/a number from {least} to {most}.",
            "correct the parameters of the obligation.",
        )  # fmt: skip
    return int(text)
