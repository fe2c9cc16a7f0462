"""Running a drill on an install, and the table of what may go where."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from greylag.app.bootstrap import open_stores
from greylag.app.install.clock import SystemClock
from greylag.app.install.law.lawbook import read_packs
from greylag.app.install.shipped import shipped
from greylag.app.settings import Settings, home_folder, load_settings
from greylag.app.whatif.archive import (
    Pairs,
    Selection,
    live_things,
    newest_version,
    nothing_recorded,
    recorded,
)
from greylag.app.whatif.files import read_drill
from greylag.domain.errors import OperatorError
from greylag.governance.policy import Pack
from greylag.governance.whatif import Report, matrix_of, relabelled, replay
from greylag.governance.whatif.matrix import labels_in_use

#: Called now and then with how many ledger entries were read, and of how many.
Progress = Callable[[int, int], None]


def run_drill(
    home: Path | None, given: str, selection: Selection, progress: Progress | None = None, today: date | None = None
) -> dict[str, Any]:
    """Return the report of the drill ``given`` (a file, or a shipped one's name) on the home's ledger, as JSON values.

    Every selected decision is first made again in the world it was made in; IntegrityError ``GL-WHATIF-001`` where one
    comes out otherwise. Raises RequestRefused ``GL-WHATIF-002`` … ``-006`` for the drill, IntegrityError
    ``GL-WORLD-001`` … ``-003`` for a world that is not kept whole, OperatorError ``GL-LEDGER-008`` without an install.
    """
    drill = read_drill(given)
    settings, folder = _install(home)
    day = today or SystemClock().now().date()
    pairs = Pairs(folder, drill, library(), day)
    control, ledger, _ = open_stores(settings, folder)
    try:
        now = pairs.pair(newest_version(ledger), strict=True)
        owners = {each.name: each.owner for each in control.directory.repositories()}
        report = Report(drill, live_things(control, settings.region.name), owners)
        decisions = recorded(ledger, selection, ledger.size(), progress)
        for outcome in replay(decisions, pairs.pair, relabelled(drill)):
            report.add(outcome)
    finally:
        ledger.close()
        control.close()
    if not report.counts["decisions"]:
        raise nothing_recorded()
    chosen = {"since": selection.since.isoformat() if selection.since else "", "repository": selection.repository}
    changed = {
        "rows_and_packs": sorted(now.changed.touched), "lost": sorted(now.changed.lost),
        "weakened": sorted(now.changed.weakened),
    }  # fmt: skip
    document = report.document(report.holding.affected(now, day))
    return {**document, "asked_as_of": day.isoformat(), "selection": chosen, "changed": changed}


def show_matrix(
    home: Path | None, given: str, selection: Selection, progress: Progress | None = None, today: date | None = None
) -> dict[str, Any]:
    """Return what may go where as of today, for every label in use, and under the drill ``given`` if there is one.

    Raises as `run_drill`.
    """
    drill = read_drill(given) if given else None
    settings, folder = _install(home)
    day = today or SystemClock().now().date()
    control, ledger, _ = open_stores(settings, folder)
    try:
        now = Pairs(folder, drill, library(), day).pair(newest_version(ledger), strict=True)
        labels, left_out = labels_in_use(recorded(ledger, selection, ledger.size(), progress))
    finally:
        ledger.close()
        control.close()
    if not labels:
        raise nothing_recorded()
    matrix = matrix_of(now, labels, today=day, drilled=drill is not None, left_out=left_out)
    return {**matrix.document(), "drill": drill.name if drill else "", "asked_as_of": day.isoformat()}


def library() -> Mapping[str, Pack]:
    """Return every shipped pack by name, those that are only proposed too."""
    names = sorted(path.name for path in shipped("policies", "packs").iterdir() if path.is_dir())
    return {pack.name: pack for pack in read_packs(names)}


def _install(home: Path | None) -> tuple[Settings, Path]:
    folder = home_folder(home)
    if not folder.exists():
        raise OperatorError("GL-LEDGER-008", f"{folder} holds no platform.", "name its folder with `--home`.")
    return load_settings(folder), folder
