"""What people do: say, press, choose, fill in, react. Each is told to the app as Slack tells it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from greylag.app.fake_slack import telling
from greylag.app.fake_slack.place import Place, bounded, nothing
from greylag.app.fake_slack.world import outline, text
from greylag.app.fake_slack.world.emoji import GLYPHS
from greylag.app.fake_slack.world.outline import Widget
from greylag.app.fake_slack.world.records import (
    Channel,
    Delivery,
    File,
    Json,
    Message,
    ReplyUrl,
    Trigger,
    User,
    View,
)  # fmt: skip
from greylag.domain.errors import RequestRefused

_LONGEST_TYPED = 40_000
_MOST_FILES = 10
_MOST_KEPT = 5_000
LARGEST_FILE_BYTES = 32_000_000
MOST_MESSAGES = 100_000
MOST_FILES_KEPT = 1_000
#: Type of element: what its value is called in ``state.values`` and in an action.
_VALUE = {
    "users_select": "selected_user", "datepicker": "selected_date", "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}  # fmt: skip


def say(place: Place, user: User, channel: Channel, words: str, thread: str, files: Sequence[tuple[str, bytes]]) -> str:
    """Send what somebody typed; return its ``ts``."""
    with place.lock:
        if user.id not in channel.members:
            raise _refused(
                f"{user.name!r} is not in {channel.name or 'these direct messages'!r}", "choose another room"
            )
        if len(words) > _LONGEST_TYPED or not (words.strip() or files) or len(files) > _MOST_FILES:
            raise _refused(
                f"a message of {len(words)} characters and {len(files)} files", "send 1 to 40,000 characters"
            )
        if len(place.world.messages) >= MOST_MESSAGES:
            raise _refused(f"the workspace has {MOST_MESSAGES} messages", "start with a new state")
        root = place.message(thread).thread_ts or thread if thread else ""
        kept = [_keep(place, user, channel, name, content) for name, content in files]
        marked = mark(place, words)
        message = Message(channel.id, place.next_ts(), user.id, marked, root, rich_text(marked), files=kept)
        for each in kept:
            place.world.files[each].shares.setdefault(channel.id, []).append(message.ts)
        place.world.messages[message.ts] = message
        telling.tell_message(place, message)
        place.changed()
        return message.ts


def mark(place: Place, words: str) -> str:
    """Return what typing ``words`` sends."""
    users = {each.name: each.id for each in place.world.users.values()}
    rooms = {each.name: each.id for each in place.world.channels.values() if each.name}
    return text.typed(text.clean(words), lambda name: users.get(name, ""), lambda name: rooms.get(name, ""))


def rich_text(marked: str) -> list[Json]:
    """Return the block that stands beside a person's text in events, as Slack makes it from the same words."""
    parts: list[Json] = []
    for span in text.spans(marked, lambda _: ""):
        if span.kind == "user":
            parts.append({"type": "user", "user_id": span.target})
        elif span.kind == "mass":
            parts.append({"type": "broadcast", "range": span.target})
        elif span.kind == "link":
            parts.append({"type": "link", "url": span.target, "text": span.text})
        else:
            styled = {"bold": "bold", "italic": "italic", "strike": "strike", "code": "code", "pre": "code"}
            style = {"style": {styled[span.kind]: True}} if span.kind in styled else {}
            parts.append({"type": "text", "text": span.text, **style})
    return [{"type": "rich_text", "block_id": "typed", "elements": [{"type": "rich_text_section", "elements": parts}]}]


def _keep(place: Place, user: User, channel: Channel, name: str, content: bytes) -> str:
    if len(content) > LARGEST_FILE_BYTES:
        raise _refused(f"{name!r} has {len(content)} bytes", f"send at most {LARGEST_FILE_BYTES} bytes")
    name = text.clean(name)[:255] or "file"
    file = File(place.fresh("F"), name, name, user.id, len(content), content, "shared")
    file.shares[channel.id] = []
    place.world.files[file.id] = file
    bounded(place.world.files, MOST_FILES_KEPT)
    return file.id


def edit(place: Place, user: User, message: Message, words: str) -> None:
    """Change one's own message."""
    with place.lock:
        if message.user != user.id:
            raise _refused(f"the message {message.ts} is not {user.name!r}'s", "change one of your own")
        before = telling.message_json(place, message)
        message.text, message.edited_ts = mark(place, words), place.next_ts()
        message.blocks = rich_text(message.text)
        telling.tell_changed(place, message, before)


def delete(place: Place, message: Message) -> None:
    """Take a message away. A root with replies stays as one that was deleted."""
    with place.lock:
        before = telling.message_json(place, message)
        if telling.replies_of(place, message):
            message.deleted = True
        else:
            del place.world.messages[message.ts]
        telling.tell_deleted(place, message, before)
        place.changed()


def react(place: Place, user: User, message: Message, name: str, *, put: bool) -> None:
    """Put a reaction on a message, or take it back; again is nothing."""
    with place.lock:
        if name not in GLYPHS:
            raise _refused(f"there is no emoji {name!r}", "choose another")
        users = message.reactions.setdefault(name, [])
        if (user.id in users) is not put:
            if put:
                users.append(user.id)
            else:
                users.remove(user.id)
            telling.tell_reaction(place, user, message, name, put=put)
        if not users:
            del message.reactions[name]
        place.changed()


def open_home(place: Place, user: User, tab: str) -> None:
    """Open the app's home or its messages."""
    if tab not in ("home", "messages"):
        raise _refused(f"there is no tab {tab!r}", "choose `home` or `messages`")
    view = place.world.views.get(place.world.homes.get(user.id, ""))
    telling.tell_home(place, user, tab, view if tab == "home" else None)


def widgets(place: Place, where: str) -> list[Widget]:
    """Return what can be pressed, chosen or filled in, in a message or a view."""
    view = place.world.views.get(where)
    pieces = (
        outline.of_view(view.content, view.values, place.name_of)
        if view
        else outline.of_message(place.message(where), place.name_of)
    )
    return [widget for piece in pieces for widget in _inside(piece)]


def _inside(piece: outline.Piece) -> list[Widget]:
    return [*piece.widgets, *(widget for each in piece.inner for widget in _inside(each))]


def click(place: Place, user: User, where: str, what: str, choice: str) -> Delivery:
    """Press a button or choose in a menu."""
    with place.lock:
        view = place.world.views.get(where)
        blocks = view.content.get("blocks", []) if view else _blocks(place.message(where))
        element, block_id = _element(blocks, what)
        action = _action(place, element, block_id, choice)
        payload = _interaction(place, user, "block_actions") | {"actions": [action], "state": {"values": {}}}
        if view:
            if element["type"] not in ("button", "overflow"):
                view.values.setdefault(block_id, {})[element["action_id"]] = _state(element, choice)
            shown = telling.view_json(place, view)
            payload |= {"view": shown, "state": shown["state"], "container": {"type": "view", "view_id": view.id}}
        else:
            payload |= _around(place, user, place.message(where))
        return telling.tell(place, "interactive", payload)


def _blocks(message: Message) -> list[Json]:
    streamed = message.stream.pieces if message.stream else []
    return message.blocks + [block for each in streamed if each["type"] == "blocks" for block in each["blocks"]]


def _element(blocks: Sequence[Json], what: str) -> tuple[Json, str]:
    found = [
        (each, block.get("block_id", ""))
        for block in blocks
        for each in (*(block.get("elements") or ()), block.get("accessory"), block.get("element"))
        if isinstance(each, dict) and each.get("action_id")
    ]
    for each, block_id in found:
        two = [each[name] for name in ("positive_button", "negative_button") if name in each]
        labels = [outline.plain(part.get("text")) for part in (each, *two)] + [outline.plain(each.get("placeholder"))]
        if what and what in (each["action_id"], *labels):
            return each, block_id
    result: tuple[Json, str] = nothing("thing to press", what)
    return result


def _action(place: Place, element: Json, block_id: str, choice: str) -> Json:
    kind = element["type"]
    action: Json = {"action_id": element["action_id"], "block_id": block_id, "type": kind, "action_ts": place.next_ts()}
    if kind == "feedback_buttons":
        two = [element["positive_button"], element["negative_button"]]
        chosen = next((each for each in two if choice in (outline.plain(each["text"]), each["value"])), two[0])
        return action | {"text": chosen["text"], "value": chosen["value"]}
    if kind in ("button", "icon_button"):
        shown = {name: element[name] for name in ("text", "value", "style", "url") if name in element}
        return action | shown
    return action | {name: value for name, value in _state(element, choice).items() if name != "type"}


def _state(element: Json, choice: str) -> Json:
    """Return what an element holds once ``choice`` was typed or chosen in it: as it stands in ``state.values``."""
    kind = element["type"]
    if "options" not in element and "option_groups" not in element:
        return {"type": kind, _VALUE.get(kind, "value"): choice or None}
    options = element.get("options") or [each for group in element["option_groups"] for each in group["options"]]
    wanted = choice.split("\n") if kind in ("checkboxes", "multi_static_select") else [choice]
    found = [each for each in options if {each["value"], outline.plain(each["text"])} & set(wanted) - {""}]
    if kind in ("checkboxes", "multi_static_select"):
        return {"type": kind, "selected_options": found}
    if not found and choice:
        nothing("choice", choice)
    return {"type": kind, "selected_option": found[0] if found else None}


def _interaction(place: Place, user: User, kind: str) -> Json:
    world = place.world
    trigger = Trigger(f"{place.fresh('')}.{place.fresh('')}", user.id, place.clock())
    world.triggers[trigger.id] = trigger
    bounded(world.triggers, _MOST_KEPT)
    return {
        "type": kind, "team": {"id": world.team_id, "domain": "stand-in"}, "api_app_id": world.app_id,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": world.team_id},
        "token": "stand-in", "trigger_id": trigger.id, "enterprise": None, "is_enterprise_install": False,
    }  # fmt: skip


def _around(place: Place, user: User, message: Message) -> Json:
    """Return where a click happened, and where it may be answered."""
    made = ReplyUrl(
        place.fresh("") + place.fresh(""), message.channel, message.ts, message.thread_ts, user.id, place.clock()
    )
    place.world.reply_urls[made.token] = made
    bounded(place.world.reply_urls, _MOST_KEPT)
    container = {
        "type": "message", "message_ts": message.ts, "channel_id": message.channel,
        "is_ephemeral": bool(message.ephemeral_to),
    }  # fmt: skip
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    channel = place.world.channels[message.channel]
    name = "directmessage" if channel.kind == "im" else channel.name
    shown: Json = {} if message.ephemeral_to else {"message": telling.message_json(place, message)}
    url = f"{place.url}/actions/{place.world.team_id}/{made.token}"
    return {"container": container, "channel": {"id": channel.id, "name": name}, "response_url": url, **shown}


def submit(place: Place, user: User, values: Mapping[str, str], view_id: str) -> Delivery:
    """Fill in a modal and submit it."""
    with place.lock:
        view = _open_modal(place, user, view_id)
        inputs = [block for block in view.content.get("blocks", ()) if block["type"] == "input"]
        left = dict(values)
        view.errors = {}
        for block in inputs:
            _fill(view, block, left)
        if left:
            nothing("field", next(iter(left)))
        if view.errors:
            raise _refused("a field is not filled in as the modal asks", f"mend {sorted(view.errors)}")
        payload = _interaction(place, user, "view_submission")
        payload |= {"view": telling.view_json(place, view), "response_urls": []}
        return telling.tell(place, "interactive", payload)


def _open_modal(place: Place, user: User, view_id: str) -> View:
    seen = [
        each
        for each in place.world.views.values()
        if each.user == user.id and each.is_open and each.content["type"] == "modal" and view_id in ("", each.id)
    ]
    found: View = seen[-1] if seen else nothing("open modal of", user.name)
    return found


def _fill(view: View, block: Json, left: dict[str, str]) -> None:
    """Put what was typed into a field; the client itself refuses what the field does not take."""
    element = block["element"]
    names = (element["action_id"], block["block_id"], outline.plain(block["label"]))
    given = next((left.pop(name) for name in names if name in left), None)
    held = view.values.setdefault(block["block_id"], {})
    if given is not None or element["action_id"] not in held:
        first = given if given is not None else _first(element)
        held[element["action_id"]] = _state(element, first)
    state = held[element["action_id"]]
    empty = not any(value for name, value in state.items() if name != "type")
    typed = state.get("value") or ""
    if empty and not block.get("optional"):
        view.errors[block["block_id"]] = "Please complete this required field."
    elif not empty and not element.get("min_length", 0) <= len(typed) <= element.get("max_length", 3000):
        view.errors[block["block_id"]] = "The text is too short or too long."


def _first(element: Json) -> str:
    option = element.get("initial_option")
    if option:
        return str(option["value"])
    if element.get("initial_options"):
        return "\n".join(each["value"] for each in element["initial_options"])
    names = ("initial_value", "initial_user", "initial_date", "initial_time", "initial_date_time")
    return next((str(element[name]) for name in names if element.get(name) is not None), "")


def dismiss(place: Place, user: User) -> None:
    """Close a modal; the app is told where it asked for that."""
    with place.lock:
        view = _open_modal(place, user, "")
        view.is_open = False
        if view.content.get("notify_on_close"):
            payload = _interaction(place, user, "view_closed")
            telling.tell(place, "interactive", payload | {"view": telling.view_json(place, view), "is_cleared": False})
        place.changed()


def _refused(message: str, remedy: str) -> RequestRefused:
    return RequestRefused("GL-FAKE-005", f"{message}.", f"{remedy}.")


def now_of(ts: str) -> datetime:
    """Return the time of a ``ts``."""
    return datetime.fromtimestamp(float(ts), UTC)
