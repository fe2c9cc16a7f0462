"""A page of the reference that is written from the code, never by hand."""

from pathlib import Path

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


def write_or_compare(target: Path, text: str, arguments: list[str]) -> int:
    """Write ``text`` to ``target``, or with ``--check`` only compare; return the exit code (1: not up to date)."""
    if arguments == ["--check"]:
        return 0 if target.is_file() and target.read_text() == text else 1
    target.write_text(text)
    return 0
