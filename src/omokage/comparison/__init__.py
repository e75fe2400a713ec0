"""Several runs side by side: read from git and DVC's cache, drawn, and put on one page."""
