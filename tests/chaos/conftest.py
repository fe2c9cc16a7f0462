"""How often to kill, and by which seed."""

import pytest

_QUICK_KILLS = 3
_SECONDS_PER_KILL = 90
_SECONDS_PER_SUITE = 420


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=_QUICK_KILLS, help="how often the demo's flow is killed per database")
    parser.addoption("--seed", type=int, default=None, help="draw the same moments again")


def kills_of(config: pytest.Config) -> int:
    return int(config.getoption("--kills", default=_QUICK_KILLS))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("chaos") is not None:
            item.add_marker(pytest.mark.timeout(_SECONDS_PER_SUITE + _SECONDS_PER_KILL * kills_of(config)))
