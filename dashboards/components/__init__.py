"""Streamlit components of the project's own: drawn on a canvas, with nothing fetched from outside."""
