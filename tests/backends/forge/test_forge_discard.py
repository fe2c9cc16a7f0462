"""A repository that an import left when it was cut off can be taken away, and its name used again."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.port import Author, CommitText
from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.stages import Stage
from tests.support.permits import permit

_TEXT = CommitText(Author("greylag", "greylag@greylag.invalid"), "All\n", datetime(2026, 1, 2, tzinfo=UTC))


async def test_a_discarded_name_is_free(tmp_path: Path) -> None:
    forge = BuiltinForge(tmp_path / "forge")
    may = permit(Stage.PUSH, forge.name)
    await forge.create(may, "calc", {"a.py": b"a = 1\n"}, frozenset(), _TEXT)
    await forge.create(may, "other", {"b.py": b"b = 1\n"}, frozenset(), _TEXT)
    await forge.discard(may, "calc")
    await forge.discard(may, "calc")
    with pytest.raises(RequestRefused) as refused:
        await forge.head("calc", "main")
    assert refused.value.code == "GL-FORGE-024"
    await forge.create(may, "calc", {"a.py": b"a = 2\n"}, frozenset(), _TEXT)
    assert await forge.head("other", "main")
    assert sorted(path.name for path in (tmp_path / "forge").iterdir() if path.suffix == ".git") == [
        "calc.git", "other.git",
    ]  # fmt: skip


async def test_nothing_is_discarded_without_a_permit_or_a_plain_name(tmp_path: Path) -> None:
    forge = BuiltinForge(tmp_path / "forge")
    await forge.create(permit(Stage.PUSH, forge.name), "calc", {"a.py": b"a = 1\n"}, frozenset(), _TEXT)
    with pytest.raises(GreylagError):
        await forge.discard(permit(Stage.CHECKOUT, forge.name), "calc")
    with pytest.raises(GreylagError):
        await forge.discard(permit(Stage.PUSH, forge.name), "../forge/calc")
    assert await forge.head("calc", "main")
