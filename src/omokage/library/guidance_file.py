"""Find the file that autoguidance needs, in the folder of a model. This module does not load PyTorch."""

from pathlib import Path

SNAPSHOTS, GUIDING_MODEL = "snapshots.safetensors", "guidance/model.safetensors"


def find_guidance_file(model: Path) -> Path | None:
    """Return the snapshots of the model's training, or the guiding model of an exported folder, or None."""
    return next((path for name in (SNAPSHOTS, GUIDING_MODEL) if (path := model.parent / name).is_file()), None)
