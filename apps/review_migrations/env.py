"""Runs migrations on the connection that the store hands over, inside its transaction."""

from alembic import context

from mainstem.apps.review_tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
context.run_migrations()
