"""Modals and homes: opened, changed, put on top of each other, as Slack allows it."""

from typing import Any

from greylag.app.fake_slack import telling
from greylag.app.fake_slack.place import Place
from greylag.app.fake_slack.world.blocks import check_view, with_ids
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.records import Json, View

_MOST_ON_TOP = 3
_MOST_CLOSED = 500


def checked(place: Place, value: Any, kind: str = "", own: str = "") -> Json:
    """Return a view with its ids. Raises SlackError for one that Slack would not take.

    ``own`` is the id of the view it replaces, whose ``external_id`` it may keep.
    """
    problems = check_view(value)
    if problems:
        raise SlackError("invalid_arguments", problems)
    if kind and value["type"] != kind:
        raise SlackError("invalid_arguments", [f"[ERROR] must be of type: {kind} [json-pointer:/view/type]"])
    external = value.get("external_id")
    if external and any(
        each.content.get("external_id") == external and each.id != own and each.is_open
        for each in place.world.views.values()
    ):
        raise SlackError("duplicate_external_id")
    return {**value, "blocks": with_ids(value["blocks"], lambda: place.fresh("blk-"))}


def user_of_trigger(place: Place, trigger_id: str) -> str:
    """Return whom a trigger lets see a modal; it is used up. Raises SlackError."""
    trigger = place.world.triggers.get(trigger_id)
    if trigger is None:
        raise SlackError("invalid_trigger_id")
    if place.clock() - trigger.made_at > place.rules.trigger_seconds:
        raise SlackError("expired_trigger_id")
    if trigger.used:
        raise SlackError("exchanged_trigger_id")
    trigger.used = True
    return trigger.user


def open_modal(place: Place, user: str, value: Any, *, push: bool) -> View:
    """Show ``user`` a modal; with ``push`` on top of the one that is open."""
    content = checked(place, value, "modal")
    stack = [each for each in place.world.views.values() if each.is_open and each.user == user and _is_modal(each)]
    if push and not stack:
        raise SlackError("not_found")
    if push and len(stack) >= _MOST_ON_TOP:
        raise SlackError("push_limit_reached")
    if not push:
        for each in stack:
            each.is_open = False
    view = View(place.fresh("V"), user, content, place.fresh(""))
    view.root_id = stack[-1].root_id if push else view.id
    view.previous_id = stack[-1].id if push else ""
    place.world.views[view.id] = view
    closed = [each.id for each in place.world.views.values() if not each.is_open]
    for old in closed[:-_MOST_CLOSED]:
        del place.world.views[old]
    return view


def change(place: Place, view: View, value: Any, wanted_hash: str = "") -> View:
    """Show other things in a view. What was typed into blocks that stay is kept, as in Slack."""
    if wanted_hash and wanted_hash != view.hash:
        raise SlackError("hash_conflict")
    view.content = checked(place, value, view.content["type"], view.id)
    view.hash, view.errors = place.fresh(""), {}
    kept = {block["block_id"] for block in view.content["blocks"]}
    view.values = {name: held for name, held in view.values.items() if name in kept}
    return view


def publish(place: Place, user: str, value: Any, wanted_hash: str) -> View:
    """Show ``user`` a home."""
    before = place.world.views.get(place.world.homes.get(user, ""))
    if before is not None:
        return change(place, before, value, wanted_hash)
    view = View(place.fresh("V"), user, checked(place, value, "home"), place.fresh(""))
    view.root_id = view.id
    place.world.views[view.id] = view
    place.world.homes[user] = view.id
    return view


def _is_modal(view: View) -> bool:
    return bool(view.content["type"] == "modal")


def settle(place: Place, payload: Json, answer: Any) -> str:
    """Do what the app answered to a submitted modal; return what was wrong with the answer, else nothing."""
    view = place.world.views.get(str(payload.get("view", {}).get("id", "")))
    if payload.get("type") != "view_submission" or view is None:
        return ""
    said: Json = answer if isinstance(answer, dict) else {}
    try:
        _settle(place, view, said)
    except SlackError as error:
        return " ".join((error.error, *error.messages))
    return ""


def _settle(place: Place, view: View, said: Json) -> None:
    kind = said.get("response_action", "")
    if kind == "errors":
        known = {block["block_id"] for block in view.content["blocks"] if block["type"] == "input"}
        given = said.get("errors") or {}
        if not isinstance(given, dict) or not set(given) & known:
            raise SlackError("invalid_arguments", ["[ERROR] errors must name blocks of type input"])
        view.errors = {name: str(words) for name, words in given.items() if name in known}
    elif kind == "update":
        change(place, view, said.get("view"))
    elif kind == "push":
        open_modal(place, view.user, said.get("view"), push=True)
    elif kind == "clear" or not kind:
        gone = [view] if not kind else [each for each in place.world.views.values() if each.user == view.user]
        for each in gone:
            each.is_open = each.is_open and not _is_modal(each)
    else:
        raise SlackError("invalid_arguments", [f"[ERROR] unknown response_action: {kind}"])


def shown(place: Place, view: View) -> Json:
    """Return what a call about a view answers."""
    return {"view": telling.view_json(place, view)}
