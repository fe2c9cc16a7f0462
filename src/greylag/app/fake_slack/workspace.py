"""The workspace: what people do in it, and what a test may look at. Safe from any thread."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from greylag.app.fake_slack import acting, telling
from greylag.app.fake_slack.place import Place, nothing
from greylag.app.fake_slack.world import outline
from greylag.app.fake_slack.world.records import Delivery, File, Message, View, World
from greylag.domain.errors import BackendError, OperatorError, RequestRefused

_TICK_SECONDS = 0.01


class Workspace(Place):
    """A `Place` with the verbs of its people, for tests, the page and the demo."""

    # What people do

    def say(
        self, user: str, channel: str, text: str, *, thread: str = "", files: Sequence[tuple[str, bytes]] = ()
    ) -> str:
        """Type ``text`` as ``user`` (``@greylag`` is a mention) and send it; return the message's ``ts``."""
        return acting.say(self, self.user(user), self.channel(channel), text, thread, files)

    def edit(self, user: str, ts: str, text: str) -> None:
        """Change one's own message."""
        acting.edit(self, self.user(user), self.message(ts), text)

    def delete(self, ts: str) -> None:
        """Take a message away, as its author or an administrator can."""
        acting.delete(self, self.message(ts))

    def react(self, user: str, ts: str, name: str) -> None:
        """Put a reaction on a message."""
        acting.react(self, self.user(user), self.message(ts), name, put=True)

    def unreact(self, user: str, ts: str, name: str) -> None:
        """Take one's reaction back."""
        acting.react(self, self.user(user), self.message(ts), name, put=False)

    def click(self, user: str, where: str, what: str, choice: str = "") -> Delivery:
        """Press the button (or choose ``choice`` in the menu) ``what`` in a message (its ``ts``) or a view (its id).

        ``what`` is a label or an ``action_id``; ``choice`` a label or a value. Returns what the app is told. Raises
        RequestRefused ``GL-FAKE-003`` where there is no such thing to press.
        """
        return acting.click(self, self.user(user), where, what, choice)

    def submit(self, user: str, values: Mapping[str, str] | None = None, view: str = "") -> Delivery:
        """Fill in the modal that ``user`` has open (by label or ``action_id``) and submit it."""
        return acting.submit(self, self.user(user), values or {}, view)

    def dismiss(self, user: str) -> None:
        """Close the modal that ``user`` has open."""
        acting.dismiss(self, self.user(user))

    def open_home(self, user: str, tab: str = "home") -> None:
        """Open the app as ``user``: its home, or its messages."""
        acting.open_home(self, self.user(user), tab)

    # What can be seen

    def messages(self, channel: str = "", user: str = "") -> list[Message]:
        """Return the messages of a channel (or all), oldest first; ephemeral ones only where ``user`` sees them."""
        with self.lock:
            room = self.channel(channel).id if channel else ""
            reader = self.user(user).id if user else ""
            return [
                each
                for _, each in sorted(self.world.messages.items())
                if room in ("", each.channel) and each.ephemeral_to in ("", reader)
            ]

    def thread(self, ts: str, user: str = "") -> list[Message]:
        """Return the root and its replies, oldest first."""
        root = self.message(ts)
        return [each for each in self.messages(root.channel, user) if ts in (each.ts, each.thread_ts)]

    def thread_text(self, ts: str, user: str = "") -> str:
        """Return a thread as a person reads it, in plain text: names, words, buttons in brackets, reactions."""
        return "\n".join(line for each in self.thread(ts, user) for line in self.lines(each))

    def lines(self, message: Message) -> list[str]:
        """Return a message as lines of plain text."""
        author = self.name_of(message.user)
        lines = outline.plain_lines(outline.of_message(message, self.name_of))
        lines += [f"[file: {self.world.files[each].name}]" for each in message.files if each in self.world.files]
        marks = [f":{name}: {len(users)}" for name, users in message.reactions.items()]
        note = " (only you see this)" if message.ephemeral_to else " (edited)" if message.edited_ts else ""
        first, *rest = lines or [""]
        return [
            f"{author}{note}: {first}",
            *("    " + each for each in rest),
            *(["    " + "  ".join(marks)] if marks else []),
        ]

    def widgets(self, where: str) -> list[outline.Widget]:
        """Return what can be pressed, chosen or filled in, in a message (its ``ts``) or a view (its id)."""
        return acting.widgets(self, where)

    def modal(self, user: str) -> View | None:
        """Return the modal that ``user`` sees."""
        person = self.user(user).id
        seen = [each for each in self.world.views.values() if each.user == person and each.is_open]
        return next((each for each in reversed(seen) if each.content["type"] == "modal"), None)

    def home(self, user: str) -> View | None:
        """Return the app's home as ``user`` sees it."""
        return self.world.views.get(self.world.homes.get(self.user(user).id, ""))

    def home_text(self, user: str) -> str:
        """Return the app's home as plain text."""
        view = self.home(user)
        return "\n".join(outline.plain_lines(outline.of_view(view.content, view.values, self.name_of))) if view else ""

    def file(self, name: str) -> File:
        """Return the newest file of that name or id."""
        named = [each for each in self.world.files.values() if each.name == name]
        found = self.world.files.get(name) or (named[-1] if named else None)
        return found or nothing("file", name)

    # What the app is told

    def redeliver(self, event_id: str, reason: str = "timeout") -> Delivery:
        """Tell the app an event once more, as Slack does where it saw no acknowledgement."""
        return telling.redeliver(self, event_id, reason)

    def hold(self) -> None:
        """Tell the app nothing until `release`."""
        self.held = True

    def release(self, *, reverse: bool = False) -> None:
        """Tell the app what was held back, in order or in the reverse of it."""
        with self.lock:
            if reverse:
                telling.turn_around(self)
            self.held = False
            self.changed()

    # Waiting

    async def until(self, seen: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Wait until ``seen()`` returns something true, and return it. Raises BackendError ``GL-FAKE-004``."""
        end = time.monotonic() + seconds
        while True:
            with suppress(RequestRefused):
                if found := seen():
                    return found
            if time.monotonic() > end:
                raise self._waited(seconds)
            await asyncio.sleep(_TICK_SECONDS)

    def wait(self, seen: Callable[[], Any], seconds: float = 10.0) -> Any:
        """Wait as `until` does, in a thread that may block."""
        end = time.monotonic() + seconds
        while True:
            with suppress(RequestRefused):
                if found := seen():
                    return found
            if time.monotonic() > end:
                raise self._waited(seconds)
            time.sleep(_TICK_SECONDS)

    def _waited(self, seconds: float) -> BackendError:
        text = "\n".join(line for each in self.messages()[-12:] for line in self.lines(each))
        message = f"what was waited for did not come in {seconds:g} seconds. The last messages:\n{text}\n"
        return BackendError("GL-FAKE-004", message, "look at `calls` and `deliveries`.")

    def keep(self, file: Path) -> None:
        """Write everything to ``file``, at once or not at all."""
        with self.lock:
            content = msgspec.json.encode(self.world)
        part = file.with_name(file.name + ".part")
        part.write_bytes(content)
        part.replace(file)

    @staticmethod
    def load(file: Path) -> World:
        """Return what `keep` wrote. Raises OperatorError ``GL-FAKE-002`` where the file is something else."""
        try:
            return msgspec.json.decode(file.read_bytes(), type=World)
        except (OSError, msgspec.DecodeError) as error:
            raise OperatorError(
                "GL-FAKE-002", f"{str(file)!r} is no state of the stand-in: {error}.", "name another with `--state`."
            ) from error
