"""Run the stages of dvc.yaml: read their graph, find stale stages, run one stage in isolation, and use SLURM."""
