"""Say what to lower if a stage runs out of memory."""

MICRO_BATCH = "micro_batch in a profile's configfile (or OMOKAGE_MICRO_BATCH)"
# What decides how much memory a stage needs. Stages that are not listed need little.
TO_LOWER = {
    "download": "OMOKAGE_THREADS",
    "detect": "detect_jobs in a profile's configfile, or OMOKAGE_THREADS",
    "faces": "faces_jobs in a profile's configfile, or OMOKAGE_THREADS",
    "reference": f"{MICRO_BATCH} or reference_faces",
    "train": f"{MICRO_BATCH}, model_channels or image_size",
    "sample": f"{MICRO_BATCH} or samples",
    "transform": f"{MICRO_BATCH}, transform_faces or transform_between",
    "evaluate": f"{MICRO_BATCH}, samples or reference_faces",
    "figures": "figure_dpi or grid_side",
}


def describe_remedy(stage: str) -> str:
    """Return what to do if the stage ran out of memory."""
    lower = f"lower {TO_LOWER[stage]}, or " if stage in TO_LOWER else ""
    return f"{lower}give it more memory (on a cluster: mem_mb in set-resources)"


def is_memory_cause(cause: str) -> bool:
    """Return whether an error of Snakemake says that the system or SLURM killed a job, probably for its memory."""
    return "SIGKILL" in cause or "OUT_OF_ME" in cause
