"""``views.*``: modals and homes."""

from greylag.app.fake_slack import viewing
from greylag.app.fake_slack.webapi.given import Given
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.records import Json


def open_view(given: Given) -> Json:
    """Open a modal for who just clicked."""
    user = viewing.user_of_trigger(given.place, given.text("trigger_id") or given.text("interactivity_pointer"))
    return viewing.shown(given.place, viewing.open_modal(given.place, user, given.json("view"), push=False))


def push(given: Given) -> Json:
    """Open a modal on top of the one that was clicked in."""
    user = viewing.user_of_trigger(given.place, given.text("trigger_id") or given.text("interactivity_pointer"))
    return viewing.shown(given.place, viewing.open_modal(given.place, user, given.json("view"), push=True))


def update(given: Given) -> Json:
    """Change a modal that is open."""
    views = given.place.world.views
    external = given.text("external_id")
    found = views.get(given.text("view_id")) or next(
        (each for each in views.values() if external and each.content.get("external_id") == external), None
    )
    if found is None or not found.is_open:
        raise SlackError("not_found")
    return viewing.shown(given.place, viewing.change(given.place, found, given.json("view"), given.text("hash")))


def publish(given: Given) -> Json:
    """Show a person their home."""
    user = given.user("user_id")
    return viewing.shown(given.place, viewing.publish(given.place, user.id, given.json("view"), given.text("hash")))
