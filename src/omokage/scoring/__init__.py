"""Score any images as the stage `evaluate` scores the samples."""
