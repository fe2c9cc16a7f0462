"""The application: one database, four areas, their routes."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from murmur import __version__, audiobooks, catalogue, playlists, queues
from murmur.answers import EXCEPTION_HANDLERS
from murmur.database import Database


async def healthz(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "version": __version__})


def create_app(database: str = ":memory:", clock: Callable[[], float] = time.time) -> Starlette:
    """Open ``database`` (a file name), seed the catalogue, and return the service."""
    db = Database(database)
    db.script(catalogue.SCHEMA + queues.SCHEMA + playlists.SCHEMA + audiobooks.SCHEMA)
    catalogue.seed(db)
    audiobooks.seed(db)
    music = catalogue.Catalogue(db)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        db.close()

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            *catalogue.routes(music),
            *queues.routes(queues.Queues(db, music, clock)),
            *playlists.routes(playlists.Playlists(db, music)),
            *audiobooks.routes(audiobooks.Audiobooks(db)),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        lifespan=lifespan,
    )
