"""Where Alembic enters. Connection, tables and version table come from `greylag.adapters.store.migrate`."""

from alembic import context


def _run() -> None:
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        target_metadata=attributes["metadata"],
        version_table=attributes["version_table"],
        include_name=attributes["include_name"],
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if __name__ == "env_py":  # the name under which Alembic loads this file; importing it does nothing
    _run()
