"""How good the samples are: features, distances."""
