"""The roboticist's page."""
