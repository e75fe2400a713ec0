"""Training: the loop, the averaged weights, checkpoints and the saved model."""
