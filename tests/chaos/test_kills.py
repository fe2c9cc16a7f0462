"""`kill -9` at random moments of the demo's flow: every task ends, nothing happens twice, no event is lost.

`make test` kills a few times, `make chaos` fifty times on each database. A failure keeps its folder and says how to
draw the same moments again; the machine's own timing is never the same, so a second try may pass.
"""

import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.conftest import kills_of
from tests.chaos.driver import (
    FIX,
    RELEASE,
    Api,
    Moment,
    Timeline,
    draw,
    exercise,
    run_story,
    shown,
    timeline_of,
)
from tests.chaos.invariants import check, orphans_are_gone
from tests.support.postgres import PostgresServer, running_postgres

pytestmark = pytest.mark.chaos

_ENDS = {RELEASE: "released", FIX: "released"}
_PER_FLOW = 5
_MEASURED_FROM = 10  # fewer kills than these don't pay for an undisturbed flow to measure

#: The flow as it was measured once; only the order and the rough distances matter.
_NOMINAL = [
    (0.5, "TaskReceived"), (0.7, "TaskAccepted"), (0.75, "TaskPlaced"), (0.8, "RunStarted"), (0.9, "ChangeCaptured"),
    (0.95, "RunFinished"), (4.5, "RunVerified"), (4.6, "ChangeVerified"), (7.4, "BuildStored"),
    (7.5, "ReviewRequested"), (7.8, "ApprovalGiven"), (8.1, "ChangeMerged"), (8.2, "ReleaseStarted"),
    (9.2, "ReleaseFinished"), (9.3, "ReleaseStarted"), (9.8, "ReleaseFinished"), (9.9, "TaskReleased"),
    (10.0, "EvidenceSealed"), (10.0, "TaskClosed"),
]  # fmt: skip
_NOMINAL_FIX = [
    (10.3, "TaskReceived"), (10.4, "TaskAccepted"), (10.5, "TaskPlaced"), (10.6, "RunStarted"),
    (13.6, "ChangeCaptured"), (13.6, "RunFinished"), (16.5, "RunVerified"), (16.5, "RunStarted"),
    (26.9, "ChangeCaptured"), (26.9, "RunFinished"), (31.2, "RunVerified"), (31.2, "ChangeVerified"),
    (34.3, "BuildStored"), (34.5, "ChangePushed"), (34.5, "ReviewRequested"), (34.8, "FollowUpReceived"),
    (35.1, "RunStarted"), (41.0, "ChangeCaptured"), (41.0, "RunFinished"), (46.5, "RunVerified"),
    (46.6, "ChangeVerified"), (49.5, "BuildStored"), (49.8, "ChangePushed"), (49.9, "ReviewRequested"),
    (50.1, "ApprovalGiven"), (50.5, "ChangeMerged"), (50.5, "ReleaseStarted"), (52.4, "ReleaseFinished"),
    (52.5, "ReleaseStarted"), (54.5, "ReleaseFinished"), (54.6, "TaskReleased"), (54.9, "EvidenceSealed"),
    (55.0, "TaskClosed"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ground:
    """Where one database's flows are played: a new folder and the environment each time."""

    kind: str
    postgres: PostgresServer | None

    def env(self) -> dict[str, str]:
        return {} if self.postgres is None else {"GREYLAG_DATABASE_URL": self.postgres.new_database()}

    def folder(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="glchaos-"))  # short: a UNIX socket's path has at most 107 bytes


@pytest.fixture(params=["sqlite", "postgresql"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    if request.param == "sqlite":
        yield Ground("sqlite", None)
        return
    with running_postgres() as server:
        yield Ground("postgresql", server)


def test_the_demo_survives_kills_at_random_moments(ground: Ground, request: pytest.FixtureRequest) -> None:
    wanted = kills_of(request.config)
    given = request.config.getoption("--seed", default=None)
    seed = int(given) if given is not None else secrets.randbelow(1_000_000)
    say = _teller(request)
    say(f"\n{ground.kind}: {wanted} kills, seed {seed}")
    rng = random.Random(seed)
    timeline = _measured(ground, rng, say) if wanted >= _MEASURED_FROM else _nominal()
    done, flows = 0, 0
    while done < wanted:
        flows += 1
        moments = draw(rng, timeline, min(_PER_FLOW, wanted - done))
        done += _play(ground, moments, random.Random(rng.random()), f"--kills {wanted} --seed {seed}", say)
        say(f"  flow {flows}: {done} of {wanted} kills, all as it must be")


def _play(ground: Ground, moments: list[Moment], rng: random.Random, again: str, say: "Say") -> int:
    """Play one flow and check everything; return how often it was killed."""
    folder, env = ground.folder(), ground.env()
    try:
        killer, victim = run_story(folder, env, moments, rng)
        try:
            problems = exercise(Api(victim))
        finally:
            code = victim.stop()
        if code != 0:
            problems.append("the platform did not stop when asked to")
        problems += orphans_are_gone(victim.orphans, victim.home)
        problems += check(victim.home, env, _ENDS)
        assert not problems, "\n".join(problems)
    except BaseException as error:
        (folder / "moments.json").write_text(shown(moments))
        killed = "\n".join(f"  {moment}" for moment in moments)
        error.add_note(f"moments drawn:\n{killed}\nkept: {folder}\nagain: pytest -m chaos tests/chaos {again}")
        raise
    for moment in killer.kills:
        say(f"    killed {moment}")
    shutil.rmtree(folder, ignore_errors=True)
    return len(killer.kills)


def _measured(ground: Ground, rng: random.Random, say: "Say") -> Timeline:
    """Play the flow undisturbed: the figures by which moments are drawn."""
    folder, env = ground.folder(), ground.env()
    begun = time.monotonic()
    _, victim = run_story(folder, env, [], rng)
    assert exercise(Api(victim)) == []
    timeline = timeline_of(victim.journal(), begun)
    assert victim.stop() == 0
    assert check(victim.home, env, _ENDS) == []
    say(f"  undisturbed: {timeline[-1][0]:.0f} s, {len(timeline)} events")
    shutil.rmtree(folder, ignore_errors=True)
    return timeline


def _nominal() -> Timeline:
    found: Timeline = []
    for task, events in ((RELEASE, _NOMINAL), (FIX, _NOMINAL_FIX)):
        seen: Counter[str] = Counter()
        for at, kind in events:
            seen[kind] += 1
            found.append((at, task, kind, seen[kind]))
    return found


Say = Callable[[str], None]


def _teller(request: pytest.FixtureRequest) -> Say:
    """Tell how it goes at once: the full suite takes a quarter of an hour."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    return say
