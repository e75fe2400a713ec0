"""Edit images with a trained model: SDEdit, DDIM inversion and interpolation."""
