"""Audiobooks: books read aloud, and what is said at which second."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from murmur.answers import Problem
from murmur.database import Database, seed_data

SCHEMA = """
CREATE TABLE IF NOT EXISTS audiobooks (
    id TEXT PRIMARY KEY, title TEXT, author TEXT, narrator TEXT, year INTEGER
);
CREATE TABLE IF NOT EXISTS segments (
    book TEXT, number INTEGER, start_second REAL, end_second REAL, text TEXT,
    PRIMARY KEY (book, number)
);
"""


def seed(db: Database) -> None:
    """Make the tables of audiobooks hold exactly what the seed holds."""
    with db.transaction():
        db.write("DELETE FROM audiobooks")
        db.write("DELETE FROM segments")
        for book in seed_data("audiobooks"):
            about = (book["id"], book["title"], book["author"], book["narrator"], book["year"])
            db.write("INSERT INTO audiobooks VALUES (?, ?, ?, ?, ?)", *about)
            db.write_all(
                "INSERT INTO segments VALUES (?, ?, ?, ?, ?)",
                [
                    (book["id"], number, segment["start"], segment["end"], segment["text"])
                    for number, segment in enumerate(book["segments"])
                ],
            )


class Audiobooks:
    """Reads the audiobooks; nobody writes them but the seed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> list[dict[str, Any]]:
        """Return all books by title."""
        return self._db.rows("SELECT id, title, author FROM audiobooks ORDER BY title")

    def show(self, book: str) -> dict[str, Any]:
        """Return one book with its length in seconds."""
        row = self._db.row(
            "SELECT *, (SELECT max(end_second) FROM segments WHERE book = id) AS seconds"
            " FROM audiobooks WHERE id = ?",
            book,
        )
        if row is None:
            raise Problem(404, "no_such_audiobook", f"There is no audiobook {book!r}.")
        return row

    def transcript(
        self, book: str, start: float = 0.0, end: float = float("inf")
    ) -> list[dict[str, Any]]:
        """Return the segments that are heard, in part at least, between two seconds."""
        self.show(book)
        return self._db.rows(
            "SELECT number, start_second, end_second, text FROM segments"
            " WHERE book = ? AND end_second > ? AND start_second < ? ORDER BY number",
            book,
            start,
            end,
        )


def second_in_query(request: Request, key: str, default: float) -> float:
    """Return a second from the query, ``default`` where it is not given."""
    text = request.query_params.get(key)
    try:
        second = default if text is None else float(text)
    except ValueError:
        second = -1.0
    if not second >= 0:  # NaN is no second either
        raise Problem(422, "bad_second", f"`{key}` must be a number of seconds, got {text!r}.")
    return second


def routes(audiobooks: Audiobooks) -> list[Route]:
    """Return the routes of audiobooks."""

    async def index(request: Request) -> JSONResponse:
        return JSONResponse({"audiobooks": audiobooks.all()})

    async def show(request: Request) -> JSONResponse:
        return JSONResponse(audiobooks.show(request.path_params["book"]))

    async def transcript(request: Request) -> JSONResponse:
        start = second_in_query(request, "from", 0.0)
        end = second_in_query(request, "to", float("inf"))
        segments = audiobooks.transcript(request.path_params["book"], start, end)
        return JSONResponse({"segments": segments})

    return [
        Route("/audiobooks", index),
        Route("/audiobooks/{book}", show),
        Route("/audiobooks/{book}/transcript", transcript),
    ]
