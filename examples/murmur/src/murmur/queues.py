"""Queues: what each listener hears now and next."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from murmur.answers import Problem, name_in_path, optional_text_field, read_object, texts_field
from murmur.catalogue import Catalogue
from murmur.database import Database

SCHEMA = """
CREATE TABLE IF NOT EXISTS listeners (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entries (
    listener TEXT, position INTEGER, track TEXT, PRIMARY KEY (listener, position)
);
CREATE TABLE IF NOT EXISTS skips (
    listener TEXT, track TEXT, from_track TEXT, request_id TEXT, at REAL
);
"""

LONGEST_QUEUE = 1000


class Queues:
    """Listeners' queues. A position counts from 0; the one past the last entry is the end."""

    def __init__(self, db: Database, catalogue: Catalogue, clock: Callable[[], float]) -> None:
        self._db = db
        self._catalogue = catalogue
        self._clock = clock

    def show(self, listener: str) -> dict[str, Any]:
        """Return the queue of ``listener``, an empty one for a listener nobody has met."""
        rows = self._db.rows(
            "SELECT track FROM entries WHERE listener = ? ORDER BY position", listener
        )
        entries = [self._catalogue.track(row["track"]) for row in rows]
        position = self._position(listener)
        return {
            "listener": listener,
            "position": position,
            "now": entries[position] if position < len(entries) else None,
            "next": entries[position + 1 :],
            "played": [entry["id"] for entry in entries[:position]],
        }

    def add(self, listener: str, tracks: list[str]) -> dict[str, Any]:
        """Put ``tracks`` at the end of the queue: all of them, or none where one is unknown."""
        for track in tracks:
            self._catalogue.track(track)
        with self._db.transaction():
            length = self._length(listener)
            if length + len(tracks) > LONGEST_QUEUE:
                raise Problem(409, "queue_full", f"A queue may have {LONGEST_QUEUE} tracks.")
            self._db.write("INSERT OR IGNORE INTO listeners VALUES (?, 0)", listener)
            self._db.write_all(
                "INSERT INTO entries VALUES (?, ?, ?)",
                [(listener, length + number, track) for number, track in enumerate(tracks)],
            )
        return self.show(listener)

    def skip(
        self, listener: str, request_id: str | None = None, from_track: str | None = None
    ) -> dict[str, Any]:
        """Move on to the next track. What the player sent is kept with the skip, for support."""
        with self._db.transaction():
            now = self.show(listener)["now"]
            if now is None:
                raise Problem(409, "nothing_to_skip", f"Nothing plays for {listener!r}.")
            self._db.write("UPDATE listeners SET position = position + 1 WHERE name = ?", listener)
            self._db.write(
                "INSERT INTO skips VALUES (?, ?, ?, ?, ?)",
                listener,
                now["id"],
                from_track,
                request_id,
                self._clock(),
            )
        return self.show(listener)

    def _position(self, listener: str) -> int:
        row = self._db.row("SELECT position FROM listeners WHERE name = ?", listener)
        return row["position"] if row else 0

    def _length(self, listener: str) -> int:
        row = self._db.row("SELECT count(*) AS length FROM entries WHERE listener = ?", listener)
        return row["length"] if row else 0


def routes(queues: Queues) -> list[Route]:
    """Return the routes of queues."""

    async def show(request: Request) -> JSONResponse:
        return JSONResponse(queues.show(name_in_path(request, "listener")))

    async def add(request: Request) -> JSONResponse:
        tracks = texts_field(await read_object(request), "tracks")
        return JSONResponse(queues.add(name_in_path(request, "listener"), tracks))

    async def skip(request: Request) -> JSONResponse:
        body = {"request_id": request.headers.get("idempotency-key")} | await read_object(request)
        request_id = optional_text_field(body, "request_id", 100)
        from_track = optional_text_field(body, "from_track", 100)
        return JSONResponse(queues.skip(name_in_path(request, "listener"), request_id, from_track))

    return [
        Route("/queues/{listener}", show),
        Route("/queues/{listener}/tracks", add, methods=["POST"]),
        Route("/queues/{listener}/skip", skip, methods=["POST"]),
    ]
