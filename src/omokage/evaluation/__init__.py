"""How good the samples are: features, the scores computed from them, nearest neighbours."""

INCEPTION_WEIGHTS = "inception-2015-12-05.pt"  # as clean-fid has it
