"""The schema of params.yaml: the types and limits of the parameters, in one module per stage."""
