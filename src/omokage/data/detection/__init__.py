"""Detect the faces in each image."""
