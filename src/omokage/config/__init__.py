"""Read, check, document and write params.yaml, and apply presets to it."""
