"""One module a source: each yields the same pictures zip and manifest."""
