"""``greylag demo``: no account, no key. Everything is real but the model, which is scripted or isn't there."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greylag.app.client.console import say
from greylag.app.client.session import Session
from greylag.app.demo.chatroom import chatroom
from greylag.app.demo.music import FEATURES, show_example
from greylag.app.demo.real import JURISDICTION, open_registry, show_real_package
from greylag.app.demo.showing import Demo, show_ledger
from greylag.app.example import PEOPLE, example_settings
from greylag.app.install.home import prepare_home
from greylag.app.install.tools import probe_claude
from greylag.app.settings import ModelSettings, RegionSettings, ServerSettings, Settings
from greylag.domain.errors import OperatorError, RequestRefused


def run_demo(feature: str, real: bool, keep: Path | None, as_json: bool) -> int:
    """Show it and return the exit code. With ``real`` no model and no coding agent are needed, but a package registry.

    Raises RequestRefused ``GL-DEMO-002`` for an unknown feature; OperatorError ``GL-DEMO-003`` without the coding
    agent's program, ``GL-DEMO-004`` without the package; IntegrityError ``GL-DEMO-001`` where something was not shown.
    """
    if feature and (real or feature not in FEATURES):
        known = ", ".join(f"`{name}`" for name in FEATURES)
        what = f"there is no feature {feature!r} to show" + (" with `--real`" if real else "")
        raise RequestRefused("GL-DEMO-002", f"{what}.", f"choose one of {known}, without `--real`.")
    settings = Settings(server=ServerSettings(port=0))
    if real:
        stands = RegionSettings(jurisdiction=JURISDICTION)
        settings = settings.model_copy(update={"model": ModelSettings(kind="none"), "region": stands})
    else:
        settings = example_settings(settings)
        require_coding_agent(settings)
    began = time.monotonic()
    with _home(keep) as home:
        if real:
            open_registry(home, settings, _silent if as_json else say)
        if real:
            with Session(home, "grace", settings) as session:
                demo = _people_in(Demo(home, session, quiet=as_json))
                show_real_package(demo)
        else:
            with chatroom(tuple(PEOPLE)) as room, Session(home, "grace", room.settings(settings)) as session:
                demo = _people_in(Demo(home, session, as_json, room))
                demo.tell(f"The chat is a stand-in for Slack, on this machine: {room.url} shows it as it goes on.")
                show_example(demo, feature)
        show_ledger(demo)
    seconds = time.monotonic() - began
    if as_json:
        say(json.dumps({"ok": True, "seconds": round(seconds, 1), "seen": demo.seen}, indent=2))
    else:
        model = "none (a small program made the change)" if real else "scripted (no real model was called)"
        say(f"\nAll of it was as it must be. {seconds:.0f} s, model: {model}.")
    return 0


def _people_in(demo: Demo) -> Demo:
    """Add everybody, and say who they are in the chat."""
    for name, roles in PEOPLE.items():
        demo.session.post("/people", {"name": name, "roles": roles})
    accounts = demo.room.accounts(tuple(PEOPLE)) if demo.room is not None else {}
    for name, (source, author) in accounts.items():
        demo.session.post("/people/links", {"name": name, "chat": source, "id": author})
    return demo


def _silent(line: str) -> None:
    """Say nothing: the answer is JSON."""


def require_coding_agent(settings: Settings) -> None:
    """Raise OperatorError ``GL-DEMO-003`` where the Claude Code program, which works in the demo, isn't there."""
    probe = probe_claude(settings)
    if not probe.ready:
        raise OperatorError(
            "GL-DEMO-003",
            f"this demo has the agent Claude Code at work, and {probe.detail}.",
            "fetch it: `python scripts/fetch_claude.py` (Linux on x86_64 or arm64, with glibc). Without it there is"
            " `greylag demo --real`.",
        )


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        prepare_home(keep.absolute())
        yield keep.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="greylag-demo-"))
    try:
        prepare_home(folder / "home")
        yield folder / "home"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
