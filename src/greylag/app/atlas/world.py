"""The world map: where copies are, how sure that is, and what crosses from one jurisdiction to another."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from greylag.app.atlas.drawing import frame, mark, text
from greylag.governance.datamap import DataMap, Flow, PlaceUse
from greylag.governance.facts import ANYWHERE, UNKNOWN

_MOST_ROWS = 14
_MOST_ARCS = 40
_ROW = 38
_BOX = (12, 240)
_OFF = (110, 330)  # where an arc to nowhere in particular ends
_NOWHERE = (ANYWHERE, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Country:
    """One country of the map: its name, the point its mark stands at, and its outline (empty where too small)."""

    name: str
    at: tuple[int, int]
    path: str


@dataclass(frozen=True, slots=True)
class World:
    """The shipped outlines; their source stands in the file."""

    width: int
    height: int
    countries: Mapping[str, Country]

    def at(self, code: str) -> tuple[int, int] | None:
        """Return the point of a jurisdiction; a part (``CA-QC``) stands where its country does; None: not on it."""
        found = self.countries.get(code.split("-", maxsplit=1)[0])
        return found.at if found is not None else None


@cache
def world() -> World:
    """Return the shipped map."""
    data = json.loads((Path(__file__).parent / "world.json").read_text(encoding="utf-8"))
    countries = {
        code: Country(each["name"], (each["at"][0], each["at"][1]), each.get("path", ""))
        for code, each in data["countries"].items()
    }
    return World(data["width"], data["height"], countries)


def world_svg(found: DataMap, *, alone: bool = True) -> str:
    """Return ``found`` on a world map; see `greylag.app.atlas.drawing.frame` for ``alone``.

    A disc means that every copy there is observed, a diamond that some are only declared; what has no place stands in
    the box. A country without a mark but with colour is one of several where copies may be. Countries with a dashed
    edge can compel somebody who holds a copy.
    """
    ground = world()
    placed = [use for use in found.uses if use.code not in _NOWHERE and ground.at(use.code) is not None]
    uses = [use for use in placed if use.total]
    nowhere = [use for use in found.uses if use not in placed]
    arcs = _arcs(found.flows, ground)
    rows = list(_rows(placed, uses, len(arcs), ground))
    height = ground.height + 12 + _ROW * (len(rows) + 1)
    parts = [
        f'<rect class="sea" width="{ground.width}" height="{height}"/>',
        *_land(found, ground),
        *(_arc(each) for each in arcs[:_MOST_ARCS]),
        *_marks(uses, ground),
        *_box(nowhere),
        *(text(16, ground.height + _ROW * (number + 1), row, longest=54) for number, row in enumerate(rows)),
    ]
    return frame((ground.width, height), ("Where the data is", _told(found)), parts, alone=alone)


def _told(found: DataMap) -> str:
    share = found.coverage
    places = "; ".join(
        f"{use.code}: {use.observed} observed, {use.declared} declared, {use.spread} there or elsewhere"
        for use in found.uses[:30]
        if use.code != UNKNOWN
    )
    return (
        f"{share.assets} assets: {share.observed} observed, {share.declared} declared, {share.unknown} at an unknown"
        f" place. {places or 'No place is known.'}"
    )


def _land(found: DataMap, ground: World) -> Iterator[str]:
    used = {use.code.split("-", maxsplit=1)[0] for use in found.uses}
    compels = {reader.name.split("-", maxsplit=1)[0] for reader in found.readers if reader.kind == "state"}
    for code, country in ground.countries.items():
        if country.path:
            look = "land" + (" used" if code in used else "") + (" compels" if code in compels else "")
            yield f'<path class="{look}" d="{country.path}"/>'


def _marks(uses: Sequence[PlaceUse], ground: World) -> Iterator[str]:
    taken: list[tuple[float, float]] = []
    for use in uses:
        x, y = ground.at(use.code) or (0, 0)
        size = min(13.0, 6 + 2 * math.log10(1 + use.total))
        yield mark(x, y, "declared" if use.declared or use.unknown else "observed", size)
        spot = _spot(x, y, size, taken)
        if spot is not None:
            taken.append(spot)
            yield text(*spot, f"{use.code} {use.total}", "code", "middle", 16)


def _spot(x: float, y: float, size: float, taken: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return a free place for a label near a mark; None where all are taken: the rows below tell it."""
    for dx, dy in ((0, -size - 6), (0, size + 22), (size + 44, 6), (-size - 44, 6), (0, -size - 30), (0, size + 46)):
        spot = (min(max(x + dx, 40), 960), max(y + dy, 20))
        if all(abs(spot[0] - other[0]) > 96 or abs(spot[1] - other[1]) > 24 for other in taken):
            return spot
    return None


def _box(nowhere: Sequence[PlaceUse]) -> Iterator[str]:
    if not nowhere:
        return
    x, y = _BOX
    rows = [
        f"{use.code}: {use.total + use.spread}" + ("" if use.code in _NOWHERE else " (no outline)")
        for use in nowhere[:4]
    ]
    if len(nowhere) > len(rows):
        rows.append(f"… {len(nowhere) - len(rows)} more")
    yield f'<rect class="box" x="{x}" y="{y}" width="300" height="{50 + 38 * len(rows)}" rx="6"/>'
    yield text(x + 12, y + 34, "No single place", "boxed", longest=24)
    for number, row in enumerate(rows):
        yield mark(x + 24, y + 62 + 38 * number, "unknown")
        yield text(x + 44, y + 72 + 38 * number, row, "boxed", longest=16)


Arc = tuple[str, str, int, int]  # from, to, permitted, refused


def _arcs(flows: Sequence[Flow], ground: World) -> list[Arc]:
    """Return what crosses between jurisdictions, the most first."""
    counts: dict[tuple[str, str], list[int]] = {}
    for flow in flows:
        if flow.stage == "placement" and flow.target.kind != "pool":
            continue  # an endpoint was chosen; nothing went there yet
        if set(flow.codes) & set(flow.origin_codes):
            continue
        for start in flow.origin_codes:
            for end in flow.codes:
                if ground.at(start) is not None and (end in _NOWHERE or ground.at(end) is not None):
                    each = counts.setdefault((start, end), [0, 0])
                    each[0] += flow.permitted
                    each[1] += flow.refused
    arcs = [(start, end, permitted, refused) for (start, end), (permitted, refused) in counts.items()]
    return sorted(arcs, key=lambda arc: (-arc[2] - arc[3], arc))


def _arc(arc: Arc) -> str:
    ground = world()
    start, end, permitted, refused = arc
    x1, y1 = ground.at(start) or _OFF
    x2, y2 = (ground.at(end) if end not in _NOWHERE else None) or _OFF
    lift = max(30.0, math.hypot(x2 - x1, y2 - y1) / 4)
    path = f"M{x1} {y1}Q{(x1 + x2) / 2:.0f} {max(8.0, min(y1, y2) - lift):.0f} {x2} {y2}"
    drawn = ""
    if permitted:
        width = min(7.0, 1.5 + math.log10(1 + permitted))
        drawn += f'<path class="flow" d="{path}" stroke-width="{width:.1f}"/>'
    if refused:
        drawn += f'<path class="refused" d="{path}" stroke-width="2"/>'
    return drawn


def _rows(placed: Sequence[PlaceUse], uses: Sequence[PlaceUse], arcs: int, ground: World) -> Iterator[str]:
    yield "● all observed, ◆ some only declared"
    yield "Dashed line: refused"
    yield "Dashed edge: a state that can compel a holder"
    for use in uses[:_MOST_ROWS]:
        country = ground.countries[use.code.split("-", maxsplit=1)[0]]
        sign = "◆" if use.declared or use.unknown else "●"
        yield f"{sign} {use.code} {country.name}: {use.observed} observed, {use.declared} declared"
    if len(uses) > _MOST_ROWS:
        yield f"… {len(uses) - _MOST_ROWS} more places"
    spread = sorted(use.code for use in placed if use.spread)
    if spread:
        more = f" and {len(spread) - 9} more" if len(spread) > 9 else ""
        yield f"Coloured: up to {max(use.spread for use in placed)} copies are in one or several of"
        yield f"   {', '.join(spread[:9])}{more}"
    if arcs > _MOST_ARCS:
        yield f"… {arcs - _MOST_ARCS} more crossings"
    if not placed:
        yield "No place on the map is known to hold anything."
