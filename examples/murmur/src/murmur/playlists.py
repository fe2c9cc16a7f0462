"""Playlists: tracks in an order that somebody liked."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from murmur.answers import Problem, read_object, text_field, texts_field
from murmur.catalogue import Catalogue
from murmur.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS playlists (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS playlist_tracks (playlist INTEGER, track TEXT);
"""

LONGEST_NAME = 100
LONGEST_PLAYLIST = 500


class Playlists:
    """Makes, extends, shows and removes playlists."""

    def __init__(self, db: Database, catalogue: Catalogue) -> None:
        self._db = db
        self._catalogue = catalogue

    def all(self) -> list[dict[str, Any]]:
        """Return the number, name and length of every playlist."""
        return self._db.rows(
            "SELECT number, name, (SELECT count(*) FROM playlist_tracks"
            " WHERE playlist = playlists.number) AS length FROM playlists ORDER BY number"
        )

    def show(self, number: int) -> dict[str, Any]:
        """Return one playlist with its tracks."""
        found = self._db.row("SELECT number, name FROM playlists WHERE number = ?", number)
        if found is None:
            raise Problem(404, "no_such_playlist", f"There is no playlist {number}.")
        tracks = self._db.rows(
            "SELECT track FROM playlist_tracks WHERE playlist = ? ORDER BY rowid", number
        )
        return found | {"tracks": [self._catalogue.track(row["track"]) for row in tracks]}

    def create(self, name: str, tracks: list[str]) -> dict[str, Any]:
        """Make a playlist of ``tracks``: all of them, or none where one is unknown."""
        self._check(tracks)
        with self._db.transaction():
            number = self._db.write("INSERT INTO playlists (name) VALUES (?)", name)
            self._append(number, tracks)
        return self.show(number)

    def extend(self, number: int, tracks: list[str]) -> dict[str, Any]:
        """Put ``tracks`` at the end of a playlist."""
        self._check(tracks)
        if len(self.show(number)["tracks"]) + len(tracks) > LONGEST_PLAYLIST:
            raise Problem(409, "playlist_full", f"A playlist may have {LONGEST_PLAYLIST} tracks.")
        with self._db.transaction():
            self._append(number, tracks)
        return self.show(number)

    def remove(self, number: int) -> None:
        """Remove a playlist."""
        self.show(number)
        with self._db.transaction():
            self._db.write("DELETE FROM playlist_tracks WHERE playlist = ?", number)
            self._db.write("DELETE FROM playlists WHERE number = ?", number)

    def _check(self, tracks: list[str]) -> None:
        for track in tracks:
            self._catalogue.track(track)

    def _append(self, number: int, tracks: list[str]) -> None:
        rows = [(number, track) for track in tracks]
        self._db.write_all("INSERT INTO playlist_tracks VALUES (?, ?)", rows)


def number_in_path(request: Request) -> int:
    """Return the number of a playlist in the path."""
    text: str = request.path_params["number"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Problem(404, "no_such_playlist", f"There is no playlist {text[:40]!r}.")
    return int(text)


def routes(playlists: Playlists) -> list[Route]:
    """Return the routes of playlists."""

    async def index(request: Request) -> JSONResponse:
        return JSONResponse({"playlists": playlists.all()})

    async def create(request: Request) -> JSONResponse:
        body = await read_object(request)
        name, tracks = text_field(body, "name", LONGEST_NAME), texts_field(body, "tracks")
        return JSONResponse(playlists.create(name, tracks), status_code=201)

    async def show(request: Request) -> JSONResponse:
        return JSONResponse(playlists.show(number_in_path(request)))

    async def extend(request: Request) -> JSONResponse:
        tracks = texts_field(await read_object(request), "tracks")
        return JSONResponse(playlists.extend(number_in_path(request), tracks))

    async def remove(request: Request) -> Response:
        playlists.remove(number_in_path(request))
        return Response(status_code=204)

    return [
        Route("/playlists", index),
        Route("/playlists", create, methods=["POST"]),
        Route("/playlists/{number}", show),
        Route("/playlists/{number}", remove, methods=["DELETE"]),
        Route("/playlists/{number}/tracks", extend, methods=["POST"]),
    ]
