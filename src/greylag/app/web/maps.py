"""The data map in a browser and for programs. Each look at it is a decision and stands in the ledger.

Works without scripts, by keyboard and on a phone: the pictures say nothing that the tables don't.
"""

import threading
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from greylag.app.atlas import STYLE, lineage_svg, world_svg
from greylag.app.atlas.live import LiveMap
from greylag.app.atlas.reading import names_of
from greylag.app.bootstrap import places_of
from greylag.app.install.keys import region_key
from greylag.app.platform import Platform
from greylag.app.web.api import Who, Wired
from greylag.app.web.identity import Acting
from greylag.app.web.rendering import page
from greylag.domain.errors import RequestRefused
from greylag.domain.labels import Label
from greylag.domain.repository import Person
from greylag.domain.stages import Stage
from greylag.egress.hop import Hop
from greylag.governance import datamap
from greylag.governance.datamap import DataMap, map_document
from greylag.governance.question import Asset, Target

pages = APIRouter(include_in_schema=False)
api = APIRouter(prefix="/api/v1")

#: Who may look for other people's data.
_OVERSEERS = frozenset({"operator", "auditor"})
_ROWS = 200
_PICTURE = {
    # A picture of its own has its style inside; nothing else may load or run in it.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "x-content-type-options": "nosniff",
}
_LIVE_KEY = "live_map"
_making = threading.Lock()


class Filter:
    """What of the map is asked for, as the query says it."""

    def __init__(
        self,
        repository: Annotated[str, Query(max_length=100)] = "",
        task: Annotated[str, Query(max_length=60, pattern=r"^[A-Za-z0-9_]*$")] = "",
        person: Annotated[str, Query(max_length=200)] = "",
    ) -> None:
        self.repository = repository.strip()
        self.task = task.strip()
        self.person = person.strip()


Wanted = Annotated[Filter, Depends()]


@api.get("/map")
def map_json(request: Request, platform: Wired, who: Who, wanted: Wanted) -> dict[str, object]:
    """Return where everything is by the ledger and the facts, who can read it, and how it got there."""
    return map_document(look(request, platform, who, wanted))


@pages.get("/map")
def map_page(request: Request, platform: Wired, who: Who, wanted: Wanted) -> HTMLResponse:
    """Show the data map: how much of it is seen, filters, tables and two pictures."""
    found = look(request, platform, who, wanted)
    share = found.coverage
    bars = (("observed", share.observed), ("declared", share.declared), ("unknown", share.unknown))
    return page(
        "map.html", person=who.person, found=found, wanted=wanted, share=share, bars=bars,
        copies=_grouped(found)[:_ROWS], steps=found.steps[-_ROWS:][::-1], readers=found.readers[:_ROWS],
        hidden={
            "copies": max(0, len(_grouped(found)) - _ROWS), "steps": max(0, len(found.steps) - _ROWS),
            "readers": max(0, len(found.readers) - _ROWS),
        },
        own_unknown=any(each.standing.own and "unknown" in each.standing.residency for each in found.located),
        may_look_up=bool(_OVERSEERS & set(who.person.roles)), query=request.url.query,
        repositories=[each.name for each in platform.directory.repositories()],
        world=Markup(world_svg(found, alone=False)),  # noqa: S704 - `greylag.app.atlas` escapes every name
        lineage=Markup(lineage_svg(found, alone=False)),  # noqa: S704 - the same
    )  # fmt: skip


@pages.get("/map/{picture}.svg")
def map_picture(request: Request, platform: Wired, who: Who, wanted: Wanted, picture: str) -> Response:
    """Return a picture of the map as a file of its own: ``world`` or ``lineage``."""
    draw = {"world": world_svg, "lineage": lineage_svg}.get(picture)
    if draw is None:
        raise RequestRefused("GL-WEB-006", f"{picture[:40]!r} is nothing to look at here.", "`world` or `lineage`.")
    found = look(request, platform, who, wanted)
    headers = {**_PICTURE, "content-disposition": f'attachment; filename="{picture}.svg"'}
    return Response(draw(found), media_type="image/svg+xml", headers=headers)


@pages.get("/map/atlas.css")
def style() -> Response:
    """Return the pictures' style sheet."""
    return Response(STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})


def look(request: Request, platform: Platform, who: Acting, wanted: Filter) -> DataMap:
    """Decide that ``who`` may see the map that ``wanted`` asks for (stage ``trace``), and return it.

    Raises RequestRefused ``GL-MAP-001`` where somebody looks for another person without being an operator or auditor,
    ``GL-TASK-001`` for an unknown task, PolicyRefused where policy says no; each answer of policy is in the ledger.
    """
    query = _query(platform, who.person, wanted)
    cell = platform.cell
    asset = Asset(
        "map", Label.of("internal", derived_by=("platform",)), cell.region, surfaces=("file_names", "title"),
        subjects=tuple(sorted(name for name in query.people if name.startswith("sub_"))),
    )  # fmt: skip
    hop = Hop(
        Stage.TRACE, f"person:{who.person.name}", "read:map", asset, Target("store", f"vault:{cell.region}"),
        f"map/{who.person.name}/{cell.clock.entropy(8).hex()}", query.task_id, query.repository,
    )  # fmt: skip
    cell.door.admit(hop)
    return _live(request, platform).answer(platform, query, platform.policy.facts_today())


def _query(platform: Platform, viewer: Person, wanted: Filter) -> datamap.Query:
    own = wanted.person in (viewer.name, viewer.email)
    if wanted.person and not own and not _OVERSEERS & set(viewer.roles):
        raise RequestRefused(
            "GL-MAP-001", "other people's data is looked up by operators and auditors.",
            f"look up your own with `{viewer.name}`, or ask one of them.",
        )  # fmt: skip
    task = str(platform.cell.events.find(wanted.task).task_id) if wanted.task else ""
    keys = places_of(platform.settings, platform.home).cell / "keys"
    key = region_key(keys, "subjects") if wanted.person else b""
    people = names_of(wanted.person, platform.directory, key)
    return datamap.Query(wanted.repository, task, people)


def _live(request: Request, platform: Platform) -> LiveMap:
    state: Any = request.app.state
    with _making:
        if not hasattr(state, _LIVE_KEY):
            setattr(state, _LIVE_KEY, LiveMap(platform.cell.ledger))
        found: LiveMap = getattr(state, _LIVE_KEY)
    return found


def _grouped(found: DataMap) -> list[tuple[datamap.Located, int]]:
    """Return copies of one kind at one target as one row: the latest of them, and how many there are."""
    groups: dict[tuple[object, ...], tuple[datamap.Located, int]] = {}
    for each in found.located:
        key = (each.asset.kind, each.target, each.evidence, each.contradicted, each.erased)
        latest, count = groups.get(key, (each, 0))
        groups[key] = (max(each, latest, key=lambda one: one.last_seen), count + 1)
    rows = sorted(groups.values(), key=lambda row: -row[1])
    return [(replace(latest, decisions=latest.decisions[:1]), count) for latest, count in rows]
