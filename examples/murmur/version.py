"""The version of a build: ``1.4.N``, where N is how many notes lie in ``changes/``.

Every change brings its own note, so every merge raises the version, and no two changes edit the
same line.
"""

from pathlib import Path

NOTES = Path(__file__).parent / "changes"

__version__ = f"1.4.{len(list(NOTES.glob('*.*.md')))}"
