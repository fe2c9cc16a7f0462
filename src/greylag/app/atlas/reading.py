"""Reading an install for maps and exports: its ledger, the facts it last decided by, and its people.

Needs no running platform: only the home folder. Changes nothing but makes keys that aren't there yet.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from greylag import __version__
from greylag.adapters.store.opening import Control
from greylag.adapters.store.port import Directory, LedgerStore
from greylag.app.bootstrap import open_stores, places_of
from greylag.app.install.clock import SystemClock
from greylag.app.install.keys import region_key
from greylag.app.install.law.lawbook import read_book
from greylag.app.install.law.worlds import read_world
from greylag.app.settings import Settings, home_folder, load_settings
from greylag.domain.errors import IntegrityError, OperatorError, RequestRefused
from greylag.governance.datamap import DataMap, PersonRoles, Query, Trails, map_of
from greylag.governance.exports import Install
from greylag.governance.facts import FactBase
from greylag.governance.subjects import mark_of

_PAGE = 5_000
#: Marks of people look so; what does is looked for as it is, anything else is a name or an address.
_MARK = "sub_"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose data is asked for, in people's words; empty for everybody's. ``person``: name, e-mail address or mark."""

    repository: str = ""
    task: str = ""
    person: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """An install's stores, open."""

    settings: Settings
    home: Path
    control: Control
    ledger: LedgerStore
    key: Ed25519PrivateKey

    def install(self) -> Install:
        """Return what exports say of this install; who the controller is only its operator can add."""
        region = self.settings.region
        return Install("greylag", __version__, region.name, region.jurisdiction)

    def query(self, wanted: Wanted) -> Query:
        """Return ``wanted`` as a query. Raises RequestRefused ``GL-TASK-001`` for an unknown task."""
        key = region_key(places_of(self.settings, self.home).cell / "keys", "subjects") if wanted.person else b""
        task = str(self.control.events.find(wanted.task).task_id) if wanted.task else ""
        return Query(wanted.repository, task, names_of(wanted.person, self.control.directory, key))


@contextmanager
def opened(home: Path | None) -> Iterator[Books]:
    """Open the stores of an install. Raises OperatorError ``GL-LEDGER-008`` where the home folder holds none."""
    folder = home_folder(home)
    if not folder.exists():
        raise OperatorError("GL-LEDGER-008", f"{folder} holds no platform.", "name its folder with `--home`.")
    settings = load_settings(folder)
    control, ledger, key = open_stores(settings, folder)
    try:
        yield Books(settings, folder, control, ledger, key)
    finally:
        ledger.close()
        control.close()


class Entries:
    """The ledger's entries, decoded, in order; ``version`` is the world of the newest decision passed so far.

    An entry that is no JSON object is an empty one: what reads it counts it, and its index stays right.
    """

    def __init__(self, ledger: LedgerStore, progress: Progress | None = None, start: int = 0) -> None:
        self._ledger = ledger
        self._progress = progress
        self.next = start
        self.version = ""

    def __iter__(self) -> Iterator[dict[str, object]]:
        end = self._ledger.size()
        while self.next < end and (page := self._ledger.entries(self.next, min(_PAGE, end - self.next))):
            for entry in page:
                found = _decoded(entry.body)
                if found.get("kind") == "decision":
                    self.version = str(found.get("policy_version", ""))
                self.next = entry.index + 1
                yield found
            if self._progress is not None:
                self._progress(self.next, end)


def _decoded(body: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def facts_of(books: Books, version: str, today: date) -> FactBase:
    """Return today's facts by the book of the newest world that was decided in, else by the shipped and own files."""
    try:
        return read_world(books.home, version).book.as_of(today, today)
    except IntegrityError:
        return read_book(books.settings, books.home, own=(), today=today).as_of(today, today)


def people_of(directory: Directory) -> tuple[PersonRoles, ...]:
    """Return everybody who may use the platform."""
    return tuple(PersonRoles(each.name, each.roles) for each in directory.people())


def names_of(person: str, directory: Directory, key: bytes) -> frozenset[str]:
    """Return what a person is found by: their principal, and the marks of their name and address under ``key``.

    A mark stands for itself. Empty for an empty name. Raises RequestRefused ``GL-MAP-002`` for a name that is none.
    """
    if not person:
        return frozenset()
    if person.startswith(_MARK):
        return frozenset({person})
    known = next((each for each in directory.people() if person in (each.name, each.email)), None)
    names = {person, *((known.name, known.email) if known is not None else ())} - {""}
    try:
        marks = {mark_of(name, key) for name in names}
    except ValueError:
        raise RequestRefused(
            "GL-MAP-002", f"{person[:60]!r} names nobody.", "give a name, an e-mail address or a mark (`sub_…`)."
        ) from None
    return frozenset({*marks, *(f"person:{name}" for name in names)})


def map_of_install(home: Path | None, wanted: Wanted, progress: Progress | None = None) -> DataMap:
    """Return the data map of an install, from its ledger and its facts as of today.

    Raises OperatorError ``GL-LEDGER-008``, RequestRefused ``GL-TASK-001`` or ``GL-MAP-002``.
    """
    with opened(home) as books:
        query = books.query(wanted)
        return read_map(books, query, progress)[0]


def read_map(books: Books, query: Query, progress: Progress | None = None) -> tuple[DataMap, FactBase]:
    """Return the map that ``query`` asks for, and the facts it was made with."""
    entries = Entries(books.ledger, progress)
    trails = Trails(Query(query.repository, query.task_id))
    trails.feed(entries)
    facts = facts_of(books, entries.version, SystemClock().now().date())
    return map_of(trails, facts, query, people_of(books.control.directory)), facts
