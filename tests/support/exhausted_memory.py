"""Train, sample, edit images and compute features with too little memory, and print the errors, one a line.

The limit is that of the address space, so it is PyTorch's own allocator that fails.
"""

import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from omokage.base.errors import UserError
from omokage.diffusion import model
from omokage.editing.image_editor import ImageEditor
from omokage.evaluation.features.extractors import Extractor
from omokage.training.trainer import Trainer, create_network
from omokage.training.validation import measure_loss_by_noise_level
from support.training import COMPUTE, CPU, make_config, make_spec

SIDE, SPARE = 256, 400 * 2**20  # the side of an image, and the bytes that may still be allocated


def limit_memory() -> None:
    """Limit the address space of this process to what it has, and SPARE more."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE, resource.RLIM_INFINITY))


def embed(x: Tensor) -> Tensor:
    """Return features that need a lot of memory."""
    return torch.cat([x.repeat(1, 200, 1, 1)] * 9, 1).mean((2, 3))


def main(folder: Path) -> None:
    """Print the error of each computation, or `no error`."""
    spec = replace(make_spec(), architecture=replace(make_spec().architecture, image_size=SIDE))
    network, faces = create_network(spec, 0), torch.zeros(48, 3, SIDE, SIDE, dtype=torch.uint8)
    model.save_model(folder / "model.safetensors", network, spec)
    trainer = Trainer(faces, spec, make_config(batch_size=48), COMPUTE)
    editor = ImageEditor(folder / "model.safetensors", 2, 1)
    extractor = Extractor("heavy", "", SIDE, CPU, embed)
    limit_memory()
    computations: list[Callable[[], object]] = [
        trainer.advance,
        lambda: measure_loss_by_noise_level(network, spec, faces, COMPUTE, 1, 0),
        lambda: editor.vary(faces, 1.0, "ddpm", 0),
        lambda: extractor.compute_features(faces),
    ]
    for compute in computations:
        try:
            compute()
            print("no error")
        except UserError as error:
            print(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
