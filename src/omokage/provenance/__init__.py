"""Find the parameters, data and code that produced a file, from the run records in every revision."""
