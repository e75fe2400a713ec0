"""Crop detected faces, filter them, remove duplicates, and split them into a training set and a held-out set."""
