"""Scenes for the front: real stores in a folder of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.front_stage import Scene, make_template, opened_scene


@pytest.fixture(scope="session")
def scene_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the database that every scene begins with."""
    return make_template(tmp_path_factory.mktemp("front"))


@pytest.fixture
def scene(tmp_path: Path, scene_template: Path) -> Iterator[Scene]:
    """A front with people who are known in the chat."""
    made = opened_scene(tmp_path, scene_template)
    yield made
    made.close()
