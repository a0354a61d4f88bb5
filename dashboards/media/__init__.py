"""The archivist's page."""
