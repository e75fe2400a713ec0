"""Extract features of images, and score the samples with them."""
