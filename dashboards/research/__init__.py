"""The researcher's page."""
