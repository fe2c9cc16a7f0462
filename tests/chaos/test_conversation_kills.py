"""`kill -9` while people talk with the platform in Slack: nothing is lost, doubled or disordered, all is answered.

Slack is the stand-in, reached by the real client over Socket Mode; it goes on while the platform is gone. It loses
answers on top, and what nobody took in time it does not tell again.
"""

import json
import random
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from greylag.app.fake_slack import Server, Workspace
from tests.chaos.conftest import kills_of
from tests.chaos.conversation_invariants import check_conversations
from tests.chaos.driver import Api, Killer, Moment, Victim, shown, write_settings
from tests.chaos.invariants import check, orphans_are_gone
from tests.chaos.talking import BOT, PATIENT, PEOPLE, ROOM, Talk, Thread, draw, env_of, furnish, settings_of

pytestmark = pytest.mark.chaos

_PER_STORY = 3


def test_a_conversation_survives_kills_at_any_moment(request: pytest.FixtureRequest) -> None:
    wanted = kills_of(request.config)
    given = request.config.getoption("--seed", default=None)
    seed = int(given) if given is not None else secrets.randbelow(1_000_000)
    say = _teller(request)
    say(f"\nconversations: {wanted} kills, seed {seed}")
    rng = random.Random(seed)
    done = 0
    while done < wanted:
        moments = draw(rng, min(_PER_STORY, wanted - done))
        done += _play(moments, random.Random(rng.random()), f"--kills {wanted} --seed {seed}", say)
        say(f"  {done} of {wanted} kills, all as it must be")


def _play(moments: list[Moment], rng: random.Random, again: str, say: Callable[[str], None]) -> int:
    """Let them talk once under ``moments`` and check everything; return how often it was killed."""
    folder = Path(tempfile.mkdtemp(prefix="gltalk-"))  # short: a UNIX socket's path has at most 107 bytes
    workspace = Workspace(tuple(PEOPLE), (ROOM,), bot=BOT, rules=PATIENT)
    try:
        with Server(workspace) as server:
            kills, threads, victim = _told(folder, server, moments, rng)
            problems = _all_that_is_wrong(victim, workspace, threads)
            assert not problems, "\n".join(problems)
            _the_checks_can_fail(victim, workspace, threads)
    except BaseException as error:
        (folder / "moments.json").write_text(shown(moments))
        workspace.keep(folder / "workspace.json")
        killed = "\n".join(f"  {moment}" for moment in moments)
        error.add_note(
            f"moments drawn:\n{killed}\nkept: {folder}\nagain: pytest -m chaos {Path(__file__).name} {again}"
        )
        raise
    for moment in kills:
        say(f"    killed {moment}")
    shutil.rmtree(folder, ignore_errors=True)
    return len(kills)


def _told(
    folder: Path, server: Server, moments: list[Moment], rng: random.Random
) -> tuple[list[Moment], list[Thread], Victim]:
    """Tell the story; the platform is stopped afterwards."""
    victim = Victim(folder, env_of(server.workspace))
    write_settings(victim.home, more=settings_of(server))
    settings = victim.home / "greylag.toml"
    settings.write_text(settings.read_text().replace('kind = "scripted"', 'kind = "none"'))
    victim.start()
    try:
        assert victim.wait_ready(), (folder / "output").read_text()
        furnish(Api(victim), server.workspace, folder)
        server.workspace.wait(lambda: server.workspace.connections, 30.0)
    finally:
        victim.kill()
    killer = Killer(victim, moments)
    talk = Talk(server.workspace, victim, rng)
    killer.start()
    try:
        threads = talk.tell()
        killer.finish()
    except BaseException as error:
        error.add_note(talk.shown())
        killer.abandon()
        raise
    assert victim.stop() == 0, "the platform did not stop when asked to"
    return killer.kills, threads, victim


def _all_that_is_wrong(victim: Victim, workspace: Workspace, threads: list[Thread]) -> list[str]:
    problems = orphans_are_gone(victim.orphans, victim.home)
    problems += check(victim.home, victim.env, {each.task_id: each.status for each in threads})
    problems += check_conversations(victim.home, victim.env, workspace, threads)
    if problems:
        problems += [json.dumps(list(workspace.lines(each)), ensure_ascii=False) for each in workspace.messages(ROOM)]
    return problems


def _the_checks_can_fail(victim: Victim, workspace: Workspace, threads: list[Thread]) -> None:
    """One message more, one less, or two the other way round in the stand-in: each of it is found."""
    kept = dict(workspace.world.messages)
    ours = [each for each in workspace.thread(threads[0].root) if each.user == workspace.bot.id]
    first, second = ours[0], ours[1]
    doubled = kept | {"9999999999.000001": replace(first, ts="9999999999.000001")}
    lost = {ts: each for ts, each in kept.items() if each is not second}
    turned = kept | {first.ts: replace(second, ts=first.ts), second.ts: replace(first, ts=second.ts)}
    for wrong in (doubled, lost, turned):
        workspace.world.messages = wrong
        assert check_conversations(victim.home, victim.env, workspace, threads)
    workspace.world.messages = kept


def _teller(request: pytest.FixtureRequest) -> Callable[[str], None]:
    capture = request.config.pluginmanager.get_plugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()

    return say
