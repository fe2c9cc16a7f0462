"""What stands inside blocks: buttons, menus, inputs and pieces of rich text, as strictly as Slack documents them."""

from typing import Any

from greylag.app.fake_slack.world.problems import PLAIN, Problems
from greylag.app.fake_slack.world.records import Json

_SHARED = ("action_id", "confirm", "focus_on_load", "placeholder", "dispatch_action_config")
_OPTIONS = ("options", "option_groups")
#: Type: what it needs, what it may have beside what all have.
_SHAPES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "button": (("text",), ("action_id", "url", "value", "style", "confirm", "accessibility_label")),
    "icon_button": (
        ("icon", "text"),
        ("action_id", "value", "confirm", "accessibility_label", "visible_to_user_ids"),
    ),
    "feedback_buttons": (("positive_button", "negative_button"), ("action_id",)),
    "static_select": ((), (*_SHARED, *_OPTIONS, "initial_option")),
    "multi_static_select": ((), (*_SHARED, *_OPTIONS, "initial_options", "max_selected_items")),
    "overflow": (("options",), ("action_id", "confirm")),
    "radio_buttons": (("options",), (*_SHARED, "initial_option")),
    "checkboxes": (("options",), (*_SHARED, "initial_options")),
    "users_select": ((), (*_SHARED, "initial_user")),
    "plain_text_input": ((), (*_SHARED, "initial_value", "multiline", "min_length", "max_length")),
    "number_input": (("is_decimal_allowed",), (*_SHARED, "initial_value", "min_value", "max_value")),
    "email_text_input": ((), (*_SHARED, "initial_value")),
    "url_text_input": ((), (*_SHARED, "initial_value")),
    "datepicker": ((), (*_SHARED, "initial_date")),
    "timepicker": ((), (*_SHARED, "initial_time", "timezone")),
    "datetimepicker": ((), (*_SHARED, "initial_date_time")),
    "image": (("alt_text",), ("image_url", "slack_file")),
}  # fmt: skip
IN_ACTIONS = (
    "button", "static_select", "multi_static_select", "overflow", "radio_buttons", "checkboxes", "users_select",
    "datepicker", "timepicker", "datetimepicker",
)  # fmt: skip
IN_SECTION = (*IN_ACTIONS, "image")
IN_INPUT = (
    "plain_text_input", "number_input", "email_text_input", "url_text_input", "static_select", "multi_static_select",
    "radio_buttons", "checkboxes", "users_select", "datepicker", "timepicker", "datetimepicker",
)  # fmt: skip
IN_CONTEXT_ACTIONS = ("feedback_buttons", "icon_button")
_MOST_OPTIONS = {"overflow": 5, "radio_buttons": 10, "checkboxes": 10}
_RICH = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
_RICH_PARTS = {
    "text": ("text",), "link": ("url",), "user": ("user_id",), "emoji": ("name",), "channel": ("channel_id",),
    "usergroup": ("usergroup_id",), "broadcast": ("range",), "team": ("team_id",), "color": ("value",),
    "date": ("timestamp", "format"),
}  # fmt: skip


def check_element(problems: Problems, value: Any, where: str, allowed: tuple[str, ...]) -> str:
    """Check one element; return its ``action_id`` where it has one."""
    if not isinstance(value, dict) or value.get("type") not in allowed:
        kind = value.get("type") if isinstance(value, dict) else None
        problems.wrong(f"unsupported type: {kind}", where + "/type")
        return ""
    kind = str(value["type"])
    needed, optional = _SHAPES[kind]
    if not problems.fields(value, where, needed, optional):
        return ""
    for name, longest in (("action_id", 255), ("value", 2000), ("accessibility_label", 75), ("initial_value", 3000)):
        if value.get(name) is not None:
            problems.string(value[name], f"{where}/{name}", longest, shortest=0)
    if value.get("placeholder") is not None:
        problems.text(value["placeholder"], where + "/placeholder", 150, PLAIN)
    if value.get("confirm") is not None:
        _check_confirm(problems, value["confirm"], where + "/confirm")
    _check_own(problems, kind, value, where)
    return str(value.get("action_id") or "")


def _check_own(problems: Problems, kind: str, value: Json, where: str) -> None:
    if kind in ("button", "icon_button"):
        problems.text(value["text"], where + "/text", 75, PLAIN)
        if value.get("style") is not None:
            problems.choice(value["style"], where + "/style", ("primary", "danger"))
        if value.get("url") is not None:
            problems.url(value["url"], where + "/url")
    elif kind == "feedback_buttons":
        for name in ("positive_button", "negative_button"):
            if problems.fields(value[name], f"{where}/{name}", ("text", "value"), ("accessibility_label",)):
                problems.text(value[name]["text"], f"{where}/{name}/text", 75, PLAIN)
                problems.string(value[name]["value"], f"{where}/{name}/value", 2000)
    elif kind == "image":
        check_image(problems, value, where)
    elif "options" in value or "option_groups" in value:
        _check_options(problems, kind, value, where)
    elif kind in ("static_select", "multi_static_select"):
        problems.wrong("must have one of: options, option_groups", where)


def _check_options(problems: Problems, kind: str, value: Json, where: str) -> None:
    groups = [("options", value)]
    if value.get("option_groups"):
        if "options" in value:
            problems.wrong("must not have both options and option_groups", where)
        listed = problems.items(value["option_groups"], where + "/option_groups", 100)
        groups = [(f"option_groups/{number}/options", each) for number, each in enumerate(listed)]
        for number, each in enumerate(listed):
            if problems.fields(each, f"{where}/option_groups/{number}", ("label", "options"), ()):
                problems.text(each["label"], f"{where}/option_groups/{number}/label", 75, PLAIN)
    known = []
    for path, holder in groups:
        for number, each in enumerate(
            problems.items(_options_of(holder), f"{where}/{path}", _MOST_OPTIONS.get(kind, 100))
        ):
            check_option(problems, kind, each, f"{where}/{path}/{number}")
            known.append(each)
    first = [value["initial_option"]] if value.get("initial_option") else []
    if value.get("initial_options") is not None:
        first = problems.items(value["initial_options"], where + "/initial_options", 100)
    if any(each not in known for each in first):
        problems.wrong("initial option must match one of the options", where)


def _options_of(holder: Any) -> Any:
    return holder.get("options") if isinstance(holder, dict) else None


def check_option(problems: Problems, kind: str, value: Any, where: str) -> None:
    """Check one choice of a menu."""
    if not problems.fields(value, where, ("text",), ("value", "description", "url")):
        return
    kinds = ("plain_text", "mrkdwn") if kind in ("radio_buttons", "checkboxes") else PLAIN
    problems.text(value["text"], where + "/text", 75, kinds)
    problems.string(value.get("value"), where + "/value", 150)
    if value.get("description") is not None:
        problems.text(value["description"], where + "/description", 75, kinds)


def _check_confirm(problems: Problems, value: Any, where: str) -> None:
    if not isinstance(value, dict) or not problems.fields(
        value, where, ("title", "text", "confirm", "deny"), ("style",)
    ):
        return
    for name, longest in (("title", 100), ("confirm", 30), ("deny", 30)):
        problems.text(value[name], f"{where}/{name}", longest, PLAIN)
    problems.text(value["text"], where + "/text", 300)


def check_image(problems: Problems, value: Json, where: str) -> None:
    """Check what an image block and an image element share."""
    if ("image_url" in value) == ("slack_file" in value):
        problems.wrong("must have one of: image_url, slack_file", where)
    if "image_url" in value:
        problems.url(value["image_url"], where + "/image_url")
    problems.string(value.get("alt_text"), where + "/alt_text", 2000)


def check_rich_text(problems: Problems, value: Any, where: str) -> None:
    """Check one part of a rich text block: a section, list, quote or preformatted text."""
    if not isinstance(value, dict) or value.get("type") not in _RICH:
        problems.wrong("unsupported type of rich text", where + "/type")
        return
    problems.fields(value, where, (), ("elements", "style", "indent", "offset", "border", "language"))
    for number, each in enumerate(problems.items(value.get("elements"), where + "/elements", 5000, fewest=0)):
        place = f"{where}/elements/{number}"
        if value["type"] == "rich_text_list":
            check_rich_text(problems, each, place)
        else:
            _check_part(problems, each, place)


def _check_part(problems: Problems, value: Any, where: str) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in _RICH_PARTS:
        problems.wrong("unsupported type of rich text element", where + "/type")
        return
    more = ("style", "text", "skin_tone", "unicode", "team_id", "unsafe", "fallback", "url", "display_team_id")
    if not problems.fields(value, where, _RICH_PARTS[kind], more):
        return
    for name in {*_RICH_PARTS[kind], "text"} - {"timestamp"} & set(value):
        problems.string(value[name], f"{where}/{name}", 40_000)
    if kind == "link":
        problems.url(value["url"], where + "/url", ("http://", "https://", "mailto:", "tel:"))
    if value.get("style") is not None:
        problems.fields(
            value["style"],
            where + "/style",
            (),
            ("bold", "italic", "strike", "code", "underline", "highlight", "client_highlight", "unlink"),
        )
