"""A real Chromium and a whole platform with the example repository. Without Chromium they are skipped, loudly."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_stage import Site, Window, serving
from playwright.sync_api import Browser, sync_playwright

INSTALL = "apt-get install --no-install-recommends chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-dev-shm-usage",
]  # fmt: skip
_MISSING = pytest.StashKey[bool]()


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """One Chromium for a module, as its event loop must not outlive it; each window has cookies of its own."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        request.config.stash[_MISSING] = True
        pytest.skip(f"no Chromium on this machine; install it: {INSTALL}")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=[*ARGUMENTS, *root])
        yield running
        running.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in the last lines what was not tested, and where the pictures are."""
    reports = [each for found in terminalreporter.stats.values() for each in found if hasattr(each, "nodeid")]
    if any(each.nodeid.startswith("tests/browser/") for each in reports) and artifacts().is_dir():
        terminalreporter.write_line(f"screenshots: {artifacts()}")
    if config.stash.get(_MISSING, False):
        terminalreporter.write_sep("!", "THE BROWSER TESTS DID NOT RUN", red=True, bold=True)
        terminalreporter.write_line(f"There is no Chromium on this machine. Install it: {INSTALL}")


def artifacts() -> Path:
    """Return the folder of screenshots: ``GREYLAG_TEST_ARTIFACTS``, else one that git doesn't see."""
    kept = os.environ.get("GREYLAG_TEST_ARTIFACTS")
    return Path(kept) if kept else Path(__file__).parents[2] / ".cache" / "artifacts" / "browser"


@pytest.fixture(scope="module")
def site(browser: Browser) -> Iterator[Site]:
    """One platform for a module; each test brings repositories and tasks of its own."""
    with serving() as running:
        yield running


@pytest.fixture
def shots(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where screenshots of the test go, for people to look at; the last run's are replaced."""
    folder = artifacts() / re.sub(r"\W+", "-", f"{request.node.module.__name__}-{request.node.name}")[:120]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # somebody else's checkout: the pictures live as long as the test's own files
        folder = tmp_path
    return folder


@pytest.fixture
def window(browser: Browser, site: Site, shots: Path) -> Iterator[Callable[..., Window]]:
    """Open windows: ``window("ada")`` is signed in; at the end none may have seen what no window ever may."""
    opened: list[Window] = []

    def open_window(person: str = "", **how: object) -> Window:
        opened.append(Window(browser, how.pop("site", site), shots, **how))
        if person:
            opened[-1].sign_in(person)
        return opened[-1]

    yield open_window
    for each in opened:
        each.close()
    assert [line for each in opened for line in each.complaints()] == []
