"""Turn image files into a training set and a held-out set of face crops."""
