"""Compare several runs: read them from git and DVC's cache, plot them, and write one HTML page."""
