"""Feature extractors, and the features of real faces."""
