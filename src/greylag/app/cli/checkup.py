"""Showing what ``greylag doctor`` found."""

import asyncio
from dataclasses import asdict

from greylag.app.chat_checkup import check_chat_room
from greylag.app.checkup import Row, check_everything
from greylag.app.cli.context import chosen_home
from greylag.app.client.console import emit, note
from greylag.app.settings import home_folder


def run_doctor(as_json: bool) -> int:
    """Try everything, show it, and return 0, or 1 where something needed does not work."""
    rows = asyncio.run(check_everything(home_folder(chosen_home()), lambda area: note(f"trying {area} …")))
    broken = [row for row in rows if not row.ok and row.needed]
    emit([asdict(row) for row in rows], as_json, lambda _: _told(rows, broken))
    return 1 if broken else 0


def run_chat_doctor(chat: str, room: str, as_json: bool) -> int:
    """Try a chat of the settings in one of its rooms, show it, and return 0, or 1 where something does not work."""
    rows = asyncio.run(check_chat_room(home_folder(chosen_home()), chat, room))
    broken = [row for row in rows if not row.ok]
    emit([asdict(row) for row in rows], as_json, lambda _: _told(rows, broken))
    return 1 if broken else 0


def _told(rows: list[Row], broken: list[Row]) -> str:
    lines = []
    for area in dict.fromkeys(row.area for row in rows):
        here = [row for row in rows if row.area == area]
        good = sum(row.ok for row in here)
        lines.append(f"{'ok  ' if good == len(here) else 'LOOK'} {area}: {good} of {len(here)}")
        for row in here:
            if not row.ok:
                lines.append(f"       {row.name}: {row.detail}")
                lines += [f"         next: {row.remedy}"] if row.remedy else []
            elif row.detail and area in ("toolchain", "settings", "programs", "agent claude"):
                lines.append(f"       {row.name}: {row.detail}")
    lines.append("everything needed works here" if not broken else f"{len(broken)} needed things do not work here")
    return "\n".join(lines)
