"""The report: verdicts computed from the run's numbers, put into words, in HTML and in Markdown."""
