"""Choose the device and dtype of a computation, and make seeded random generators."""
