"""The pages, one a user: run by Streamlit through home.py. Not named pages, which Streamlit would serve past it."""
