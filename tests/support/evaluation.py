"""Run the stages `reference` and `evaluate` on simple drawings of faces, also with stand-in Inception weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor, nn

from omokage.base.job import Job
from omokage.data import shards
from omokage.params.evaluate import Params as EvaluateParams
from omokage.params.reference import Params as ReferenceParams
from omokage.sampling.sample_sets import Label, save_sample_sets
from omokage.stages import evaluate, reference

LITE = "efficientnet-lite0"
TABLES = ("neighbours.csv", "progress.csv", "study.csv")


def draw_faces(count: int, seed: int) -> Tensor:
    """Return images of round faces in random colours, uint8 [count, 3, 24, 24]."""
    random = np.random.default_rng(seed)
    faces = []
    for _ in range(count):
        background, skin, hair = (tuple(map(int, random.integers(0, 256, 3))) for _ in range(3))
        x, y = (int(value) for value in random.integers(-2, 3, 2))
        image = Image.new("RGB", (24, 24), background)
        draw = ImageDraw.Draw(image)
        draw.ellipse((4 + x, 2 + y, 19 + x, 19 + y), fill=hair)
        draw.ellipse((5 + x, 5 + y, 18 + x, 21 + y), fill=skin)
        for eye in (8, 14):
            draw.rectangle((eye + x, 11 + y, eye + 1 + x, 13 + y), fill=(0, 0, 0))
        faces.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
    return torch.stack(faces)


class StandInExtractor(nn.Module):
    """A small network in place of the Inception file. clean-fid calls its `layers`, which return 2048 features."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        linear = nn.Linear(3 * 16, 2048)
        nn.init.normal_(linear.weight, generator=torch.Generator().manual_seed(seed))
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), linear, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def save_stand_in_weights(path: Path, seed: int = 0) -> None:
    """Write a stand-in extractor as TorchScript; a different seed gives different weights."""
    torch.jit.script(StandInExtractor(seed)).save(path)


def write_reference(
    root: Path, extractor: str, held_out: int, train: int, limit: int = 100, weights: Path = Path()
) -> Job[ReferenceParams]:
    """Run the stage `reference` on drawn faces and return its job.

    `held_out` and `train` are the numbers of faces, drawn with seeds 1 and 2, and `limit` is the parameter
    `reference_faces`. `weights` is the folder of the extractor's weights. The faces are written to root/faces, their
    features to root/reference.
    """
    shards.write_faces(root / "faces", "held_out", draw_faces(held_out, 1))
    shards.write_faces(root / "faces", "train", draw_faces(train, 2) if train else [])
    params = ReferenceParams.model_validate({"extractor": extractor, "reference_faces": limit})
    inputs = {"data/faces": root / "faces", "data/extractor_weights": weights}
    job = Job(params, inputs, {"data/reference": root / "reference"}, root / "work", threads=1)
    reference.run(job)
    return job


def score_samples(
    root: Path,
    extractor: str,
    samples: Tensor,
    weights: Path = Path(),
    snapshots: int = 0,
    distance_to_train: bool = False,
) -> dict[str, Any]:
    """Run the stage `evaluate` on the outputs of `write_reference` and return its metrics.

    The tables are written to `root`. With `snapshots`, the same samples also serve as the samples of that many training
    snapshots, and of a sampler study with one entry.
    """
    save_file({"samples": samples}, root / "samples.safetensors")
    study: list[Label] = [{"weights": "raw", "sampler": "heun", "evaluations": 7}] if snapshots else []
    labels: Mapping[str, list[Label]] = {
        "progress": [{"step": 10 * (number + 1)} for number in range(snapshots)],
        "study": study,
    }
    for kind, sets in labels.items():
        save_sample_sets(root / f"{kind}.safetensors", sets, samples.expand(len(sets), *samples.shape).contiguous())
    values = {"kid_subsets": 5, "kid_subset_size": 100, "evaluate_seed": 3, "bootstrap": 20, "batch_size": 8}
    values |= {"distance_to_train": distance_to_train}
    params = EvaluateParams.model_validate({"extractor": extractor, **values})
    inputs = {"data/faces": root / "faces", "data/extractor_weights": weights, "data/reference": root / "reference"}
    inputs |= {f"results/{kind}.safetensors": root / f"{kind}.safetensors" for kind in ("samples", *labels)}
    outputs = {f"results/{name}": root / name for name in ("metrics.json", "scores.json", *TABLES)}
    evaluate.run(Job(params, inputs, outputs, root / "work", threads=1))
    scores: dict[str, Any] = json.loads((root / "scores.json").read_text(encoding="utf-8"))
    return scores
