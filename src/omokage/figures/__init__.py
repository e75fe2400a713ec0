"""One module a figure: each draws from tables and arrays, and never trains."""
