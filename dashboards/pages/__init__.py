"""The pages, one a user: run by Streamlit, not imported."""
