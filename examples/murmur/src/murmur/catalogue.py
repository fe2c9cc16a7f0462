"""The catalogue: artists, albums, tracks, who made them, and what is known about them."""

import json
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from murmur.answers import Problem
from murmur.database import Database, seed_data

SCHEMA = """
CREATE TABLE IF NOT EXISTS artists (id TEXT PRIMARY KEY, name TEXT, place TEXT);
CREATE TABLE IF NOT EXISTS albums (id TEXT PRIMARY KEY, artist TEXT, title TEXT, year INTEGER);
CREATE TABLE IF NOT EXISTS tracks (
    id TEXT PRIMARY KEY, album TEXT, number INTEGER, title TEXT, seconds INTEGER, genre TEXT,
    bpm INTEGER, voices TEXT, tags TEXT, notes TEXT
);
CREATE TABLE IF NOT EXISTS credits (track TEXT, role TEXT, person TEXT);
CREATE TABLE IF NOT EXISTS sources (id TEXT PRIMARY KEY, kind TEXT, title TEXT, year INTEGER);
CREATE TABLE IF NOT EXISTS facts (track TEXT, text TEXT, source TEXT);
"""

TRACK = """
SELECT tracks.id, tracks.title, artists.name AS artist, albums.artist AS artist_id,
       albums.title AS album, albums.id AS album_id, albums.year, tracks.number, tracks.seconds,
       tracks.genre, tracks.bpm, tracks.voices, tracks.tags, tracks.notes
FROM tracks JOIN albums ON albums.id = tracks.album JOIN artists ON artists.id = albums.artist
"""


def seed(db: Database) -> None:
    """Make the catalogue's tables hold exactly what the seed holds."""
    data = seed_data("catalogue")
    tracks = data["tracks"]
    columns = ("id", "album", "number", "title", "seconds", "genre", "bpm", "voices")
    tables: dict[str, Iterable[tuple[object, ...]]] = {
        "artists": [(a["id"], a["name"], a["place"]) for a in data["artists"]],
        "albums": [(a["id"], a["artist"], a["title"], a["year"]) for a in data["albums"]],
        "sources": [(s["id"], s["kind"], s["title"], s["year"]) for s in data["sources"]],
        "tracks": [
            (*(track[column] for column in columns), json.dumps(track["tags"]), track["notes"])
            for track in tracks
        ],
        "credits": [(t["id"], c["role"], c["person"]) for t in tracks for c in t["credits"]],
        "facts": [(t["id"], f["text"], f["source"]) for t in tracks for f in t["facts"]],
    }
    with db.transaction():
        for table, rows in tables.items():
            rows = list(rows)
            db.write(f"DELETE FROM {table}")
            marks = ", ".join("?" * len(rows[0]))
            db.write_all(f"INSERT INTO {table} VALUES ({marks})", rows)


class Catalogue:
    """Reads the catalogue; nobody writes it but the seed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def tracks(self, artist: str | None = None, album: str | None = None) -> list[dict[str, Any]]:
        """Return tracks by album and number, only of ``artist`` and ``album`` where given."""
        rows = self._db.rows(
            TRACK + "WHERE albums.artist = coalesce(?, albums.artist)"
            " AND albums.id = coalesce(?, albums.id) ORDER BY albums.id, tracks.number",
            artist,
            album,
        )
        return [row | {"tags": json.loads(row["tags"])} for row in rows]

    def track(self, track: str) -> dict[str, Any]:
        """Return one track."""
        row = self._db.row(TRACK + "WHERE tracks.id = ?", track)
        if row is None:
            raise Problem(404, "no_such_track", f"There is no track {track!r}.")
        return row | {"tags": json.loads(row["tags"])}

    def credits(self, track: str) -> list[dict[str, Any]]:
        """Return who did what on ``track``."""
        self.track(track)
        return self._db.rows(
            "SELECT role, person FROM credits WHERE track = ? ORDER BY rowid", track
        )

    def facts(self, track: str) -> list[dict[str, Any]]:
        """Return what is known about ``track``; ``source`` is null where nobody wrote it down."""
        self.track(track)
        facts = self._db.rows(
            "SELECT text, source FROM facts WHERE track = ? ORDER BY rowid", track
        )
        sources = {row["id"]: row for row in self._db.rows("SELECT * FROM sources")}
        return [fact | {"source": sources.get(fact["source"])} for fact in facts]

    def artists(self) -> list[dict[str, Any]]:
        """Return all artists by name."""
        return self._db.rows("SELECT id, name, place FROM artists ORDER BY name")

    def artist(self, artist: str) -> dict[str, Any]:
        """Return one artist with its albums, oldest first."""
        row = self._db.row("SELECT id, name, place FROM artists WHERE id = ?", artist)
        if row is None:
            raise Problem(404, "no_such_artist", f"There is no artist {artist!r}.")
        albums = "SELECT id, title, year FROM albums WHERE artist = ? ORDER BY year, id"
        return row | {"albums": self._db.rows(albums, artist)}

    def albums(self) -> list[dict[str, Any]]:
        """Return all albums, oldest first."""
        return self._db.rows("SELECT id, title, artist, year FROM albums ORDER BY year, id")

    def album(self, album: str) -> dict[str, Any]:
        """Return one album with its tracks."""
        row = self._db.row("SELECT id, title, artist, year FROM albums WHERE id = ?", album)
        if row is None:
            raise Problem(404, "no_such_album", f"There is no album {album!r}.")
        return row | {"tracks": self.tracks(album=album)}


def routes(catalogue: Catalogue) -> list[Route]:
    """Return the catalogue's routes."""

    async def tracks(request: Request) -> JSONResponse:
        artist, album = request.query_params.get("artist"), request.query_params.get("album")
        return JSONResponse({"tracks": catalogue.tracks(artist, album)})

    async def track(request: Request) -> JSONResponse:
        return JSONResponse(catalogue.track(request.path_params["track"]))

    async def credits(request: Request) -> JSONResponse:
        return JSONResponse({"credits": catalogue.credits(request.path_params["track"])})

    async def facts(request: Request) -> JSONResponse:
        return JSONResponse({"facts": catalogue.facts(request.path_params["track"])})

    async def artists(request: Request) -> JSONResponse:
        return JSONResponse({"artists": catalogue.artists()})

    async def artist(request: Request) -> JSONResponse:
        return JSONResponse(catalogue.artist(request.path_params["artist"]))

    async def albums(request: Request) -> JSONResponse:
        return JSONResponse({"albums": catalogue.albums()})

    async def album(request: Request) -> JSONResponse:
        return JSONResponse(catalogue.album(request.path_params["album"]))

    return [
        Route("/tracks", tracks),
        Route("/tracks/{track}", track),
        Route("/tracks/{track}/credits", credits),
        Route("/tracks/{track}/facts", facts),
        Route("/artists", artists),
        Route("/artists/{artist}", artist),
        Route("/albums", albums),
        Route("/albums/{album}", album),
    ]
