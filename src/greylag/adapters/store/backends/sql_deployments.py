"""What was live where, in SQL."""

from typing import Any

from sqlalchemy import Row, func, insert, select

from greylag.adapters.store.codec import checked_text, decode, encode, time_of, time_text
from greylag.adapters.store.database import Database
from greylag.adapters.store.port import Deployment
from greylag.adapters.store.schema import deployment as deployments
from greylag.domain.references import Reference

MAX_DEPLOYMENTS = 10_000


class SqlDeploymentStore:
    """`greylag.adapters.store.port.DeploymentStore` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record_deployment(self, deployment: Deployment, *, key: str) -> None:
        """Record once per ``key``; the order of recording is the order of being live."""
        row = {
            name: checked_text(name, getattr(deployment, name), empty=name == "task_id")
            for name in ("repository", "environment", "digest", "name", "task_id")
        }
        row |= {
            "key": checked_text("key", key),
            "artifact": encode(deployment.artifact),
            "at": time_text(deployment.at),
        }
        with self._database.writing("deployments") as connection:
            same = select(deployments.c.number).where(deployments.c.key == key)
            if connection.execute(same).one_or_none() is None:
                number = connection.execute(select(func.coalesce(func.max(deployments.c.number), 0))).scalar_one() + 1
                connection.execute(insert(deployments).values(number=number, **row))

    def live(self, repository: str, environment: str) -> Deployment | None:
        """Return what is live there, None for nothing."""
        newest = self.deployments(repository, environment, limit=1)
        return newest[0] if newest else None

    def deployments(self, repository: str, environment: str | None = None, limit: int = 50) -> tuple[Deployment, ...]:
        """Return the history, newest first, at most ``limit`` (≤ 10,000)."""
        query = select(deployments).where(deployments.c.repository == checked_text("repository", repository))
        if environment is not None:
            query = query.where(deployments.c.environment == checked_text("environment", environment))
        query = query.order_by(deployments.c.number.desc()).limit(max(0, min(limit, MAX_DEPLOYMENTS)))
        with self._database.reading() as connection:
            return tuple(_deployment(row) for row in connection.execute(query))


def _deployment(row: Row[Any]) -> Deployment:
    return Deployment(
        row.repository, row.environment, row.digest, decode(Reference, row.artifact), row.name, row.task_id,
        time_of(row.at),
    )  # fmt: skip
