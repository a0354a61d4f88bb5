"""Mainstem: one open foundation-model core, and the domain adapters that branch from it."""

__version__ = "0.1.0"
