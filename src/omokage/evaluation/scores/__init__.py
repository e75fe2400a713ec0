"""Compute the scores of the samples from features and pixels."""
