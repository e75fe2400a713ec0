"""The typed, closed schema of params.yaml: one module a stage, composed in `whole`."""
