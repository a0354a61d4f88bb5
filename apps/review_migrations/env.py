"""Runs migrations on the connection that the store hands over; a script of Alembic's, not a module to import."""

from alembic import context

from mainstem.apps.review_tables import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, version_table=VERSION_TABLE
)
context.run_migrations()
