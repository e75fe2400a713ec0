"""Omokage: a reproducible pipeline that trains a diffusion model (DDPM) on illustrated faces."""
