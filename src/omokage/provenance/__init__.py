"""Find the parameters, data and code that produced a file, from dvc.lock and the figures in every revision."""
