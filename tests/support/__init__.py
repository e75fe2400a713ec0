"""Helpers that tests share, since no test imports another test."""
