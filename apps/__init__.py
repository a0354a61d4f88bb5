"""The command line and the services that dashboards call."""
