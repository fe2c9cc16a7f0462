"""People, tokens and repositories in SQL."""

import difflib
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Table, delete, insert, select, update

from greylag.adapters.store.codec import checked_text, decode, encode, time_text
from greylag.adapters.store.database import Database
from greylag.adapters.store.schema import person as people
from greylag.adapters.store.schema import person_token as tokens
from greylag.adapters.store.schema import repository as repositories
from greylag.adapters.store.schema import sign_off as signed
from greylag.domain.errors import RequestRefused
from greylag.domain.labels import LEVELS
from greylag.domain.repository import ROLES, Person, Repository
from greylag.governance.signoff import SignOff

_SEQUENCER = "directory"
_NAMES_SHOWN = 20


class SqlDirectory:
    """`greylag.adapters.store.port.Directory` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_person(self, person: Person, token: str) -> None:
        """Add or replace ``person``, who signs in with ``token``.

        Raises RequestRefused ``GL-PERSON-004`` for an unknown role, ``GL-PERSON-003`` for somebody else's token,
        ``GL-STORE-002`` for an empty one.
        """
        checked_text("name", person.name, longest=200)
        checked_text("token", token)
        unknown = [role for role in person.roles if role not in ROLES]
        if unknown:
            raise RequestRefused(
                "GL-PERSON-004", f"there is no role {unknown[0][:60]!r}.", f"the roles are {', '.join(ROLES)}."
            )
        digest = _token_digest(token)
        with self._database.writing(_SEQUENCER) as connection:
            holder = connection.execute(select(tokens.c.name).where(tokens.c.token_sha256 == digest)).scalar()
            if holder not in (None, person.name):
                raise RequestRefused(
                    "GL-PERSON-003", "this token is somebody else's.", "make a new random token for each person."
                )
            connection.execute(delete(people).where(people.c.name == person.name))
            connection.execute(insert(people).values(name=person.name, settings=encode(person)))
            connection.execute(insert(tokens).values(name=person.name, token_sha256=digest))

    def person(self, name: str) -> Person:
        """Return a person. Raises RequestRefused ``GL-PERSON-001`` with the known names as remedy."""
        known = {person.name: person for person in self.people()}
        if name not in known:
            raise _unknown("GL-PERSON-001", "person", name, tuple(known))
        return known[name]

    def people(self) -> tuple[Person, ...]:
        """Return everybody, by name."""
        return tuple(decode(Person, settings) for settings in self._all_settings(people))

    def person_by_token(self, token: str) -> Person | None:
        """Return whose token this is, looking at every stored digest whichever fits; None for nobody's."""
        try:
            digest = _token_digest(checked_text("token", token))
        except RequestRefused:
            return None
        query = select(tokens.c.token_sha256, people.c.settings).join(people, people.c.name == tokens.c.name)
        found: str | None = None
        with self._database.reading() as connection:
            for stored, settings in connection.execute(query):
                if hmac.compare_digest(bytes(stored), digest):
                    found = settings
        return None if found is None else decode(Person, found)

    def add_repository(self, repository: Repository, at: datetime) -> None:
        """Add or replace settings. Raises RequestRefused ``GL-REPO-003`` for an unknown level."""
        name = checked_text("name", repository.name, longest=200)
        if repository.level not in LEVELS:
            raise RequestRefused(
                "GL-REPO-003", f"there is no level {repository.level[:60]!r}.", f"the levels are {', '.join(LEVELS)}."
            )
        row = {"settings": encode(repository), "changed_at": time_text(at)}
        with self._database.writing(_SEQUENCER) as connection:
            changed = connection.execute(update(repositories).where(repositories.c.name == name).values(**row))
            if changed.rowcount == 0:
                connection.execute(insert(repositories).values(name=name, **row))

    def repository(self, name: str) -> Repository:
        """Return settings. Raises RequestRefused ``GL-REPO-001`` naming the known and the nearest name."""
        known = {repository.name: repository for repository in self.repositories()}
        if name not in known:
            raise _unknown("GL-REPO-001", "repository", name, tuple(known))
        return known[name]

    def repositories(self) -> tuple[Repository, ...]:
        """Return all, by name."""
        return tuple(decode(Repository, settings) for settings in self._all_settings(repositories))

    def add_sign_off(self, given: SignOff) -> None:
        """Keep a sign-off, once per its id."""
        row = {"sign_off_id": given.sign_off_id, "until": time_text(given.until), "value": encode(given)}
        with self._database.writing(_SEQUENCER) as connection:
            connection.execute(delete(signed).where(signed.c.sign_off_id == given.sign_off_id))
            connection.execute(insert(signed).values(**row))

    def sign_offs(self) -> tuple[SignOff, ...]:
        """Return every sign-off that was not removed, oldest first."""
        with self._database.reading() as connection:
            found = connection.execute(select(signed.c.value).order_by(signed.c.sign_off_id)).scalars()
            return tuple(decode(SignOff, value) for value in found)

    def remove_sign_off(self, sign_off_id: str) -> None:
        """Forget a sign-off; an unknown one is fine."""
        with self._database.writing(_SEQUENCER) as connection:
            connection.execute(delete(signed).where(signed.c.sign_off_id == sign_off_id))

    def _all_settings(self, table: Table) -> list[str]:
        with self._database.reading() as connection:
            return list(connection.execute(select(table.c.settings).order_by(table.c.name)).scalars())


def _token_digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _unknown(code: str, what: str, name: str, known: Sequence[str]) -> RequestRefused:
    nearest = difflib.get_close_matches(name[:200], known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    more = f" and {len(known) - _NAMES_SHOWN} more" if len(known) > _NAMES_SHOWN else ""
    listed = ", ".join(sorted(known)[:_NAMES_SHOWN]) or "none yet"
    return RequestRefused(code, f"there is no {what} {name[:60]!r}.{hint}", f"known: {listed}{more}.")
