"""Which chats an install opens, and that a chat's address is the one its fact speaks of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from greylag.adapters.store.opening import Control, open_control
from greylag.app.install.chats import matrix_place, open_chats, own_chats, room_labels, slack_place
from greylag.app.install.law.lawbook import read_book
from greylag.app.settings import ChatSettings, MatrixSettings, RoomSettings, Settings, SlackSettings
from greylag.domain.errors import OperatorError
from tests.support.policies import TODAY

TOKENS = {
    "slack_bot_token": SecretStr("xoxb-1"), "slack_app_token": SecretStr("xapp-1"),
    "slack_signing_secret": SecretStr("s3cret"),
}  # fmt: skip


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    opened = open_control(f"sqlite:///{tmp_path / 'control.db'}")
    yield opened
    opened.close()


def opened(settings: Settings, control: Control, folder: Path) -> list[tuple[str, str]]:
    book = read_book(settings, folder, own_chats(settings.chat), TODAY)
    found = open_chats(settings, folder, control.chats, lambda: book.as_of(TODAY, TODAY))
    return [(each.name, each.where) for each in found]


def slack(**given: object) -> Settings:
    return Settings(chat=ChatSettings(slack=SlackSettings(**{"mode": "socket", **given})), **TOKENS)  # type: ignore[arg-type]


def test_no_chat_is_opened_that_nobody_named(control: Control, tmp_path: Path) -> None:
    assert opened(Settings(), control, tmp_path) == []
    assert own_chats(Settings().chat) == []


@pytest.mark.parametrize("where", ["slack", "slack-de"])
def test_a_workspace_is_where_its_fact_says(where: str, control: Control, tmp_path: Path) -> None:
    assert opened(slack(where=where), control, tmp_path) == [("slack", where)]


@pytest.mark.parametrize("where", ["slack", "slack-de", "somewhere"])
@pytest.mark.parametrize(
    "api_url", ["https://slack.example.org/api/", "http://127.0.0.1:9/api/", "https://notslack.com/"]
)
def test_an_address_that_no_fact_speaks_of_is_refused(
    where: str, api_url: str, control: Control, tmp_path: Path
) -> None:
    """Else the decision would be about one place, and the bytes would go to another."""
    with pytest.raises(OperatorError, match="GL-CHAT-040"):
        opened(slack(where=where, api_url=api_url), control, tmp_path)


def test_the_stand_in_is_on_this_machine_or_nowhere(control: Control, tmp_path: Path) -> None:
    here = slack(stand_in=True, api_url="http://127.0.0.1:9/api/")
    assert opened(here, control, tmp_path) == [("slack", "fake-slack")]
    assert own_chats(here.chat) == [("chat", "fake-slack")]
    with pytest.raises(OperatorError, match="GL-CHAT-040"):
        opened(slack(stand_in=True), control, tmp_path)
    assert slack_place(slack().chat) == "slack"


@pytest.mark.parametrize("missing", ["slack_bot_token", "slack_app_token"])
def test_a_token_that_is_missing_is_named(missing: str, control: Control, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="GL-SLACK-001"):
        opened(slack().model_copy(update={missing: SecretStr("")}), control, tmp_path)


def test_a_homeserver_is_the_operators_own_only_where_they_say_so(control: Control, tmp_path: Path) -> None:
    account = {"homeserver": "https://chat.example.org", "user": "@greylag:example.org"}
    own = Settings(chat=ChatSettings(matrix=MatrixSettings(**account, own=True)))  # type: ignore[arg-type]
    other = Settings(chat=ChatSettings(matrix=MatrixSettings(**account)))  # type: ignore[arg-type]
    assert own_chats(own.chat) == [("chat", "matrix:example.org")]
    assert (own_chats(other.chat), matrix_place(other.chat)) == ([], "matrix")
    assert opened(own, control, tmp_path) == [("matrix", "matrix:example.org")]


def test_a_rooms_label_is_what_its_operator_says() -> None:
    room = RoomSettings(source="slack:T1", room="C1", level="confidential", classes=("transaction",), origins=("GB",))
    found = room_labels(ChatSettings(rooms=(room,)))[("slack:T1", "C1")]
    assert (found.level, found.classes, found.origins) == ("confidential", ("transaction",), ("GB",))
