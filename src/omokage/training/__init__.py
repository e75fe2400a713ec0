"""Train a model: batches, training loop, optimisers, checkpoints and distributed processes."""
