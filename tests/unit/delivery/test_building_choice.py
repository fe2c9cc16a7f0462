"""Which builder a repository's content calls for."""

import pytest

from greylag.delivery.building import choose_builder
from greylag.delivery.outputs import Listing
from greylag.domain.errors import RequestRefused


def files(**contents: str) -> Listing:
    named = {name.replace("_dot_", "."): content.encode() for name, content in contents.items()}
    return Listing(frozenset(named), named)


@pytest.mark.parametrize(
    ("listing", "builder"),
    [
        (files(), "archive"),
        (files(README_dot_md="x"), "archive"),
        (files(pyproject_dot_toml="[tool.ruff]\n"), "archive"),
        (files(pyproject_dot_toml="[project]\nname = 'a'\n"), "wheel"),
        (files(pyproject_dot_toml="[build-system]\n"), "wheel"),
        (files(pyproject_dot_toml="broken ["), "wheel"),
        (files(setup_dot_py=""), "wheel"),
        (files(package_dot_json='{"name": "a", "version": "1"}'), "npm"),
        (files(package_dot_json='{"private": true}'), "archive"),
        (files(package_dot_json="[]"), "archive"),
        (files(package_dot_json="{"), "npm"),
        (files(setup_dot_py="", package_dot_json='{"name": "a", "version": "1"}'), "wheel"),
    ],
)
def test_auto(listing: Listing, builder: str) -> None:
    assert choose_builder(listing, "auto") == builder
    assert choose_builder(listing, builder) == builder
    assert choose_builder(listing, "archive") == "archive"


@pytest.mark.parametrize(
    ("builder", "words"), [("wheel", "pyproject.toml"), ("npm", "package.json"), ("maven", "no builder")]
)
def test_what_cannot_be_built_is_refused(builder: str, words: str) -> None:
    with pytest.raises(RequestRefused, match=words) as caught:
        choose_builder(files(README_dot_md="x"), builder)
    assert caught.value.code == "GL-BUILD-001"
