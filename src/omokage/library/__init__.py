"""The Python library: load a trained model, sample from it and edit images. `import omokage` gives access to it."""
