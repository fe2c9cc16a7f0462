"""Make `src/greylag/app/atlas/world.json` from two packages of the npm registry; run by hand, rarely.

::

    npm pack world-atlas@2.0.2 i18n-iso-countries@7.14.0      # then unpack both
    python scripts/world_map.py WORLD_ATLAS_FOLDER ISO_COUNTRIES_FOLDER

Outlines come from Natural Earth at 1:110m (public domain) as TopoJSON in ``world-atlas`` (ISC); where a country is too
small for that scale, its place comes from the 1:50m file. ISO 3166 numbers become letters by ``i18n-iso-countries``
(MIT). Projection: Equal Earth (Šavrič, Patterson, Jenny 2018, doi:10.1080/13658816.2018.1504949). The result holds only
numbers and names: outlines as SVG paths on a canvas of `WIDTH`, and one point for each country.
"""

import itertools
import json
import math
import sys
from pathlib import Path

WIDTH = 1000
NORTH, SOUTH = 84.0, -57.0
TARGET = Path(__file__).resolve().parent.parent / "src" / "greylag" / "app" / "atlas" / "world.json"
#: Names of Natural Earth's that have a country's number missing, and the code in use (XK is user-assigned).
WITHOUT_NUMBER = {"Kosovo": "XK"}
#: Where the middle of the largest part is no good place for a mark.
PLACED = {"FR": (2.5, 46.8), "NO": (9.5, 61.5), "US": (-98.0, 39.5), "CA": (-106.0, 56.0), "CL": (-71.0, -33.5)}
_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796

Point = tuple[float, float]
Ring = list[Point]


def equal_earth(longitude: float, latitude: float) -> Point:
    """Return Equal Earth's x and y of a point in degrees, in radians of a unit sphere."""
    t = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    t2 = t * t
    t6 = t2**3
    slope = _A1 + 3 * _A2 * t2 + t6 * (7 * _A3 + 9 * _A4 * t2)
    x = 2 * math.sqrt(3) * math.radians(longitude) * math.cos(t) / (3 * slope)
    return x, t * (_A1 + _A2 * t2 + t6 * (_A3 + _A4 * t2))


def placed(longitude: float, latitude: float) -> tuple[int, int]:
    """Return a point on the canvas."""
    half = equal_earth(180, 0)[0]
    x, y = equal_earth(longitude, min(max(latitude, SOUTH), NORTH))
    top = equal_earth(0, NORTH)[1]
    return round((x + half) * WIDTH / (2 * half)), round((top - y) * WIDTH / (2 * half))


def polygons(topology: dict, geometry: dict) -> list[Ring]:
    """Return the outer rings of a TopoJSON geometry in degrees (TopoJSON format specification, 2.1.4)."""
    (sx, sy), (tx, ty) = topology["transform"]["scale"], topology["transform"]["translate"]

    def arc(number: int) -> Ring:
        x = y = 0
        points = []
        for dx, dy in topology["arcs"][number if number >= 0 else ~number]:
            x, y = x + dx, y + dy
            points.append((x * sx + tx, y * sy + ty))
        return points if number >= 0 else points[::-1]

    parts = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    return [piece for part in parts for piece in cut([point for number in part[0] for point in arc(number)])]


def cut(ring: Ring) -> list[Ring]:
    """Return ``ring`` cut at the 180th meridian, over which rings of a stitched topology go without a seam."""
    turns, flat = 0, []
    for index, (longitude, latitude) in enumerate(ring):
        if index and abs(longitude - ring[index - 1][0]) > 180:
            turns += 1 if longitude < 0 else -1
        flat.append((longitude + 360 * turns, latitude))
    pieces = []
    for shift in (-360, 0, 360):
        piece = [(longitude + shift, latitude) for longitude, latitude in flat]
        for sign in (1, -1):
            piece = kept(piece, sign)
        pieces += [piece] if piece else []
    return pieces


def kept(ring: Ring, sign: int) -> Ring:
    """Return the part of ``ring`` with sign x longitude <= 180 (Sutherland and Hodgman)."""
    found: Ring = []
    for (x1, y1), (x2, y2) in zip(ring[-1:] + ring[:-1], ring, strict=True):
        inside, before = sign * x2 <= 180, sign * x1 <= 180
        if inside != before:
            share = (180 * sign - x1) / (x2 - x1)
            found.append((180.0 * sign, y1 + share * (y2 - y1)))
        if inside:
            found.append((x2, y2))
    return found


def area_and_middle(ring: Ring) -> tuple[float, Point]:
    """Return a ring's area and its centroid, in degrees (shoelace formula)."""
    area = x = y = 0.0
    for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True):
        cross = x1 * y2 - x2 * y1
        area, x, y = area + cross, x + (x1 + x2) * cross, y + (y1 + y2) * cross
    return (abs(area) / 2, (x / (3 * area), y / (3 * area))) if area else (0.0, ring[0])


def path(rings: list[Ring]) -> str:
    """Return SVG path data in whole numbers, without points that fall together."""
    text = []
    for ring in rings:
        points = [placed(*point) for point in ring]
        points = [point for index, point in enumerate(points) if index == 0 or point != points[index - 1]]
        if len(set(points)) < 3:
            continue
        steps = [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in itertools.pairwise(points)]
        text.append(f"M{points[0][0]} {points[0][1]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps) + "z")
    return "".join(text).replace(" -", "-")


def main(arguments: list[str]) -> int:
    """Write the file; return the exit code."""
    atlas, iso = (Path(each) for each in arguments)
    letters = {number: two for two, _, number, _ in json.loads((iso / "codes.json").read_text())}
    countries: dict[str, dict[str, object]] = {}
    for scale in ("110m", "50m"):
        topology = json.loads((atlas / f"countries-{scale}.json").read_text())
        for geometry in topology["objects"]["countries"]["geometries"]:
            name = geometry["properties"]["name"]
            code = letters.get(geometry.get("id", ""), WITHOUT_NUMBER.get(name, ""))
            if code == "AQ" or not geometry.get("arcs") or (scale == "50m" and (not code or code in countries)):
                continue
            rings = polygons(topology, geometry)
            middle = PLACED.get(code) or max(map(area_and_middle, rings))[1]
            # Land without a code of its own is drawn, and can never be marked.
            key = code or f"-{name}"
            countries[key] = {"name": name, "at": placed(*middle)}
            if scale == "110m":
                countries[key]["path"] = path(rings)
    about = "Natural Earth (public domain) by way of world-atlas 2.0.2 (ISC); made by scripts/world_map.py"
    head = json.dumps({"about": about, "width": WIDTH, "height": placed(0, SOUTH)[1]}).removesuffix("}")
    lines = [
        f"{json.dumps(key, ensure_ascii=False)}:{json.dumps(country, ensure_ascii=False, separators=(',', ':'))}"
        for key, country in sorted(countries.items())
    ]
    TARGET.write_text(f'{head},"countries":{{\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{len(countries)} countries, {TARGET.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
