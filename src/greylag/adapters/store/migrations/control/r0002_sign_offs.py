"""Sign-offs of flows."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "greylag_sign_off",
        sa.Column("sign_off_id", _ID, primary_key=True),
        sa.Column("until", sa.String, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
