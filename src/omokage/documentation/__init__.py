"""Write the reference pages of the documentation, from the schema, dvc.yaml and the command-line parser."""
