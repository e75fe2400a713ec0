"""Assess a run by its numbers, and write the report as HTML and Markdown."""
