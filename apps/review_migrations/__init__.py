"""Layouts of the review store, one migration each; run by `apps.review_database`, never by hand."""
