"""How a source distribution is named in words: ``h11==0.16.0#sha256=4e35…``. Pure."""

import re

from greylag.adapters.registry.port import Pinned
from greylag.domain.errors import RequestRefused

# A project's name (PEP 508, "Names"), a version (PEP 440, loosely: it is only compared), and a digest.
_PINNED = re.compile(
    r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)==([A-Za-z0-9][A-Za-z0-9.!+_-]{0,63})#sha256=([0-9a-f]{64})"
)


def parse_pinned(text: str) -> Pinned:
    """Return what ``PROJECT==VERSION#sha256=HEX`` names. Raises RequestRefused ``GL-REGISTRY-001`` otherwise."""
    found = _PINNED.fullmatch(text)
    if found is None:
        raise RequestRefused(
            "GL-REGISTRY-001",
            f"{text[:160]!r} does not name one source distribution.",
            "write `PROJECT==VERSION#sha256=HEX`, with the 64 hexadecimal digits of its `.tar.gz`.",
        )
    return Pinned(*found.groups())


def normalised(project: str) -> str:
    """Return the one spelling of a project's name that indexes use. Source: PEP 503, "Normalized Names"."""
    return re.sub(r"[-_.]+", "-", project).lower()


def is_file_of(file_name: str, wanted: Pinned) -> bool:
    """Whether ``file_name`` is ``wanted``'s: as PEP 625 spells it, or as it was spelt before (dash, dot, case)."""
    stem = file_name.removesuffix(".tar.gz")
    return stem != file_name and normalised(stem) == normalised(f"{wanted.project}-{wanted.version}")
