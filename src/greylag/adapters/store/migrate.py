"""Brings a database to the newest revision. Safe to run from several processes at once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, inspect, text

from greylag.adapters.store.database import Database
from greylag.adapters.store.schema import CELL, CELL_VERSION_TABLE, CONTROL, CONTROL_VERSION_TABLE
from greylag.domain.errors import OperatorError

_FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Lineage:
    """One chain of revisions with a version table of its own. ``head`` is the newest revision."""

    name: str
    metadata: MetaData
    version_table: str
    head: str

    def sees(self, name: str | None, kind: str, _parents: object) -> bool:
        """Whether Alembic may look at ``name``: only our own tables, never those of the engine or of others."""
        return kind != "table" or name in self.metadata.tables


CONTROL_LINEAGE = Lineage("control", CONTROL, CONTROL_VERSION_TABLE, "0003")
CELL_LINEAGE = Lineage("cell", CELL, CELL_VERSION_TABLE, "0001")


def migrate(database: Database, lineage: Lineage) -> None:
    """Run every revision of ``lineage`` that ``database`` lacks, in one transaction.

    Raises OperatorError ``GL-STORE-007`` where the database is newer than this program.
    """
    with database.reading() as connection:
        current = _revision(connection, lineage)
    if current == lineage.head:
        return
    with database.writing(f"migrations of {lineage.name}") as connection:
        current = _revision(connection, lineage)
        if current != lineage.head:
            _upgrade(connection, lineage, current)


def _revision(connection: Connection, lineage: Lineage) -> str | None:
    if not inspect(connection).has_table(lineage.version_table):
        return None
    query = text(f"SELECT version_num FROM {lineage.version_table}")  # noqa: S608  our own constant
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else str(found)


def _upgrade(connection: Connection, lineage: Lineage, current: str | None) -> None:
    # Alembic takes a second to import and is needed once per database, not at every start.
    from alembic import command  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = alembic_config(connection, lineage)
    try:
        if current is not None:
            ScriptDirectory.from_config(config).get_revision(current)
        command.upgrade(config, lineage.head)
    except CommandError as error:
        raise OperatorError(
            "GL-STORE-007",
            f"the {lineage.name} database is at revision {current!r}, which this program does not know ({error}).",
            "run the newer Greylag that wrote it, or restore a backup made before the upgrade.",
        ) from error


def alembic_config(connection: Connection, lineage: Lineage) -> Any:
    """Return Alembic's settings for ``lineage`` over ``connection`` (an ``alembic.config.Config``)."""
    from alembic.config import Config  # noqa: PLC0415  see `_upgrade`

    config = Config()
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("version_locations", str(_FOLDER / lineage.name).replace("%", "%%"))
    config.attributes.update(
        connection=connection, metadata=lineage.metadata, version_table=lineage.version_table,
        include_name=lineage.sees,
    )  # fmt: skip
    return config
