"""Load a trained model from its file."""

from pathlib import Path

import torch

from omokage.base.errors import UserError
from omokage.base.memory import explain_out_of_memory
from omokage.compute.device import prepare_device
from omokage.diffusion.model import load_model
from omokage.library.guidance_file import find_guidance_file
from omokage.library.model import Model


def load(path: str | Path, device: str | torch.device | None = None, threads: int | None = None) -> Model:
    """Return the trained model in a file such as results/model.safetensors.

    `device` is cpu, cuda or mps, by default the best one that is available. `threads` is the number of CPU threads of
    PyTorch, by default the number that PyTorch has chosen. If the same folder has the file snapshots.safetensors, or
    guidance/model.safetensors as in an exported folder, autoguidance uses it. PyTorch is set to deterministic kernels,
    in the whole process. Raises UserError if the file is not a model of this version.
    """
    path = Path(path)
    return load_files(path, find_guidance_file(path), device, threads)


def load_files(
    path: Path, snapshots: Path | None, device: str | torch.device | None = None, threads: int | None = None
) -> Model:
    """Return the model in the file `path`, with the file `snapshots` for autoguidance; see `load`."""
    if not path.is_file():
        problem = "is not a file" if path.exists() else "there is no such file"
        raise UserError(f"{path}: {problem}: expected a trained model, such as results/model.safetensors")
    best = prepare_device(threads or torch.get_num_threads())
    try:
        with explain_out_of_memory("use a machine with more memory", f"while loading {path}"):
            chosen = torch.device(device) if device is not None else best
            network, spec = load_model(path, chosen)
            # Values of the header that are not used before the model samples.
            spec.make_schedule()
            spec.whiten(torch.zeros(1, 3, 1, 1))
    except (KeyError, TypeError, ValueError, AssertionError, RuntimeError, StopIteration) as error:
        # The header describes no network that this version can build, or PyTorch has no such device.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} is not a model of this version, or cannot be loaded on {device or best} ({reason})"
        ) from error
    return Model(network, spec, chosen, snapshots)
