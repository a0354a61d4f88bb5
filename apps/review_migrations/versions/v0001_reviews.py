"""The first layout: one table of reviews, only ever appended to."""

from alembic import op

from mainstem.apps.review_tables import DEFINITIONS

revision = "v0001"
down_revision = None


def upgrade() -> None:
    """Make table, index and guards."""
    for statement in DEFINITIONS[op.get_bind().dialect.name]:
        op.get_bind().exec_driver_sql(statement)
