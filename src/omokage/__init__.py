"""Omokage: a reproducible pipeline that learns to draw illustrated faces with a diffusion model."""
