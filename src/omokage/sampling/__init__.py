"""Generate images with a trained model."""
