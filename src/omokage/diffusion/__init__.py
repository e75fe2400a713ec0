"""The diffusion core: tensors in, tensors out; it knows nothing of files, DVC or Snakemake."""
