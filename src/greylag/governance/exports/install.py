"""What an export says of the install it comes from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Install:
    """Who runs this install and where. What nobody said is empty, and shown as not stated.

    ``controller``, ``contact``, ``officer`` (data protection officer) and ``representative`` are the operator's words;
    ``customers`` are those on whose behalf it works, for a processor's record. ``jurisdiction`` is the region's.
    """

    product: str
    version: str
    region: str
    jurisdiction: str
    controller: str = ""
    contact: str = ""
    officer: str = ""
    representative: str = ""
    customers: tuple[str, ...] = ()


NOT_STATED = "not stated"


def stated(text: str) -> str:
    """Return ``text``, or that it is not stated."""
    return text or NOT_STATED
