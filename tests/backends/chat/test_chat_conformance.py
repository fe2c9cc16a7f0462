"""Every chat keeps the same promises: the own thread, Slack by its real client, Matrix on a real server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chat_people import MatrixPerson, SlackPerson

from greylag.adapters.chat.backends.slack.calls import SlackAccess
from greylag.adapters.chat.backends.slack.chat import SlackChat
from greylag.adapters.chat.backends.thread import BuiltinThread
from greylag.adapters.chat.conformance import Finding, check_chat, check_saying
from greylag.adapters.chat.counterpart import Seen, digest_of
from greylag.adapters.chat.port import Capabilities, Control, Post, Said
from greylag.adapters.store.opening import Control as ControlStores
from greylag.adapters.vault.backends.local import LocalVault
from greylag.app.bootstrap import open_stores
from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.settings import Settings
from greylag.app.web.rendering import visible
from greylag.domain.conversation import Conversation, Offer
from greylag.domain.errors import RequestRefused
from greylag.domain.events import TaskReceived
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit
from tests.support.matrix_people import Bot, Person
from tests.support.permits import permit
from tests.support.slack_stage import QUICK, Notes

TASK = TaskId("task_" + "0" * 26)
AT = datetime(2026, 1, 2, tzinfo=UTC)


def broken(found: Sequence[Finding]) -> dict[str, str]:
    assert len(found) > 25
    return {each.promise: each.detail for each in found if not each.kept}


async def test_slack() -> None:
    workspace = Workspace(people=["ada", "grace"], rules=Rules(ack_seconds=1.0, retry_delays=(0.2, 0.5, 1.0)))
    notes = Notes()
    async with Server(workspace) as server:

        async def opened() -> SlackChat:
            access = SlackAccess(workspace.bot_token, workspace.app_token, api_url=server.api)
            chat = SlackChat(access, where="slack", notes=notes, residency="US", timing=QUICK)  # type: ignore[arg-type]
            await chat.open()
            return chat

        root = workspace.say("ada", "general", "@greylag begin a thread")
        person = SlackPerson(workspace, f"slack:{workspace.world.team_id}", root)
        notes.bound[person.conversation] = TASK
        assert broken(await check_chat(opened, person, permit)) == {}


async def test_matrix(bot: Bot, ann: Person) -> None:
    other = bot.server.register(bot.local.replace("greylag", "ben"))
    bot.listen()
    room = await ann.room(bot.user, other, encrypted=True)
    await bot.joined(room, ann)
    root = await ann.say(room, f"{bot.local}: begin a thread", to=bot.user)
    await bot.ears.wait(1)
    await bot.stop()

    async def opened() -> object:
        return bot.new()

    assert broken(await check_chat(opened, MatrixPerson(ann, bot, room, root), permit)) == {}


@dataclass
class OwnThread:
    """The platform's own thread as a chat that only speaks; what is seen of it is what its page shows."""

    control: ControlStores
    vault: LocalVault
    conversation = Conversation("thread", "local", TASK)
    name, source, where = "thread", "thread", "thread:local"
    capabilities = Capabilities(True, False, False, False, False, False, "transport", True, "DE", 1_000_000)

    async def post(self, permission: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        permission.require(Stage.CHAT, self.where, post.digest)
        permission.require(Stage.CHAT, self.where, digest_of(post.text))
        shown = "\n".join(filter(None, (post.title, post.text, *(each.text for each in post.steps))))
        kept = permit(Stage.ARTIFACT, "vault:local", digest_of(shown))
        body = self.vault.put(kept, shown.encode(), kind="message", subject=TASK, media_type="text/plain")
        offers = tuple(Offer(each.verb or "open", each.label, each.value or each.url) for each in post.controls)
        thread = BuiltinThread(self.control.threads, "local")
        if shown != post.text:
            permission = permit(Stage.CHAT, self.where, body.digest)
        said = Said(TASK, post.kind, shown, body, post.key, post.author, offers)
        thread.say(permission, said, AT)
        return next(str(m.sequence) for m in self.control.threads.messages(TASK) if m.key == post.key)

    async def upload(self, *given: object, uncertain: bool = False) -> str:
        raise RequestRefused("GL-CHAT-001", "there are no files in it.", "download it from the task's page.")

    async def close(self) -> None:
        """There is nothing to close."""

    async def seen(self) -> Sequence[Seen]:
        return [
            Seen(
                str(each.sequence), visible(self.vault.get(each.body, subject=TASK).decode()), True, each.author,
                controls=tuple(
                    Control(o.label, url=o.value) if o.verb == "open" else Control(o.label, o.verb, o.value, TASK)
                    for o in each.offers
                ),
            )
            for each in self.control.threads.messages(TASK)
        ]  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnThread]:
    control, ledger, _ = open_stores(Settings(), tmp_path)
    ledger.close()
    received = TaskReceived("console", "ada", Reference("local", f"sha256:{'a' * 64}", 1, "request"), "x", "local")
    control.events.append(TASK, received, key="received", at=AT)
    yield OwnThread(control, LocalVault(tmp_path / "vault", "local"))
    control.close()


async def test_the_own_thread(own: OwnThread) -> None:
    async def opened() -> object:
        return own

    assert broken(await check_saying(opened, own, permit)) == {}
