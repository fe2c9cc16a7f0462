"""`greylag doctor --chat`: a chat of the settings is tried in a room that somebody named, and only there."""

from pathlib import Path

import pytest

from greylag.app.chat_checkup import check_chat_room
from greylag.app.fake_slack import Server, Workspace
from greylag.app.install.home import prepare_home


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    prepare_home(made)
    return made


def configure(home: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "greylag.toml").write_text(f'[chat.slack]\nmode = "socket"\napi_url = "{server.api}"\nstand_in = true\n')
    monkeypatch.setenv("GREYLAG_SLACK_BOT_TOKEN", server.workspace.bot_token)
    monkeypatch.setenv("GREYLAG_SLACK_APP_TOKEN", server.workspace.app_token)


async def test_a_room_is_tried_with_a_dozen_messages(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(channels=["general", "lab"])
    async with Server(workspace) as server:
        configure(home, server, monkeypatch)
        rows = await check_chat_room(home, "slack", workspace.channel("lab").id)
    assert [row for row in rows if not row.ok] == []
    assert {"says the same thing once", "needs its own permit", "says nothing it refused"} <= {row.name for row in rows}
    said = workspace.messages("lab")
    assert len(said) < 15
    assert {each.thread_ts for each in said[1:]} == {said[0].ts}
    assert workspace.messages("general") == []
    assert workspace.pings == []


@pytest.mark.parametrize(
    ("kind", "room", "seen"),
    [("matrix", "lab", "the settings name no chat 'matrix'"), ("slack", "C0NOWHERE", "channel_not_found")],
)
async def test_what_can_not_be_tried_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch, kind: str, room: str, seen: str
) -> None:
    workspace = Workspace()
    async with Server(workspace) as server:
        configure(home, server, monkeypatch)
        [row] = await check_chat_room(home, kind, room)
    assert not row.ok
    assert seen in row.detail
    assert row.remedy
    assert workspace.messages() == []
