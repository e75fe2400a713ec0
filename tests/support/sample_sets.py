"""Sample sets of models that fail in a known way, and of perfect ones, made from real faces."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from omokage.data.sources.avatars import AvatarRenderer
from omokage.evaluation.features.extractors import EXTRACTORS
from omokage.evaluation.scores.copies import find_neighbours, judge_neighbours
from omokage.evaluation.scores.metrics import compute_metrics
from omokage.params.evaluate import Params

BACKGROUNDS = ("b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf")
ONE_BACKGROUND = ("ffdfbf",)
PARAMS = {
    **{"extractor": "efficientnet-lite0", "kid_subsets": 2, "kid_subset_size": 30, "bootstrap": 20},
    **{"distance_to_train": False, "evaluate_seed": 0, "batch_size": 8},
}


def score_avatars(n: int, side: int | None = None) -> dict[str, dict[str, Any]]:
    """Return the scores of sample sets of n avatars by name, against n held-out avatars (see `make_sample_sets`).

    The features of equal images are computed once, from images of `side` pixels, which is 224 by default. Half of it
    takes a quarter of the time.
    """
    train, held_out, unseen = render_avatars(3 * n, seed=0).split(n)
    sample_sets = make_sample_sets(train, unseen, render_avatars(n, seed=1, backgrounds=ONE_BACKGROUND))
    device = torch.device("cpu")
    extractor = EXTRACTORS["efficientnet-lite0"](device, Path())
    extractor = replace(extractor, side=side or extractor.side)
    images = torch.cat([train, held_out, *sample_sets.values()])
    distinct, rows = images.flatten(1).unique(dim=0, return_inverse=True)
    features = extractor.compute_features(distinct.view(-1, *images.shape[1:]))[rows]
    train_features, held_out_features, *set_features = features.split(n)
    reference = {"train": train_features, "held_out": held_out_features}
    faces = {"train": train, "held_out": held_out}
    params = Params.model_validate(PARAMS)
    control = find_neighbours(held_out, held_out_features, faces, reference, device, are_held_out=True)
    scores = {}
    for (name, samples), rows_of_set in zip(sample_sets.items(), set_features, strict=True):
        _, copies = judge_neighbours(find_neighbours(samples, rows_of_set, faces, reference, device), control)
        scores[name] = compute_metrics(params, extractor, samples, rows_of_set, reference, faces) | copies
    return scores


def render_avatars(count: int, seed: int, backgrounds: tuple[str, ...] = BACKGROUNDS, side: int = 32) -> Tensor:
    """Return avatars of the default style, uint8 [count, 3, side, side]."""
    render = AvatarRenderer(("adventurer",), backgrounds, 128, seed)
    images = [Image.open(io.BytesIO(render(number))).convert("RGB") for number in range(count)]
    return _stack([image.resize((side, side), Image.Resampling.LANCZOS) for image in images])


def make_sample_sets(train: Tensor, unseen: Tensor, one_kind: Tensor) -> dict[str, Tensor]:
    """Return sample sets by name, each of as many uint8 images as there are unseen faces [n, 3, h, w].

    `train` are the training faces, `unseen` are further faces of the same distribution, and `one_kind` are faces that
    all have the same background.
    """
    n, _, side, _ = unseen.shape
    generator = torch.Generator().manual_seed(0)
    faces = unseen.double()
    noise = _to_bytes(128 + 64 * torch.randn(unseen.shape, generator=generator).double())
    orders = [torch.randperm(side * side, generator=generator) for _ in range(n)]
    shuffled = [face.flatten(1)[:, order].view_as(face) for face, order in zip(unseen, orders, strict=True)]
    small_noise = 5 * torch.randn(unseen.shape, generator=generator).double()
    colours = torch.randint(0, 256, (n, 3, 1, 1), generator=generator).to(torch.uint8)
    return {
        "unseen faces (a perfect model)": unseen,
        "the training faces (a model that copies)": train,
        "one face": unseen[:1].expand_as(unseen),
        "five faces": unseen[torch.arange(n) % 5],
        "black": torch.zeros_like(unseen),
        "grey": torch.full_like(unseen, 128),
        "a colour per sample": colours.expand_as(unseen),
        "Gaussian noise": noise,
        "faces with shuffled pixels": torch.stack(shuffled),
        "strongly blurred faces": _blur(unseen, side / 12),
        "faces with 40 more red": _to_bytes(faces + torch.tensor([40.0, 0, 0])[:, None, None]),
        "half faces, half noise": torch.cat([unseen[: n // 2], noise[n // 2 :]]),
        "faces with one background": one_kind,
        "the mean face with small noise": _to_bytes(train.double().mean(0) + small_noise),
        "faces with 30 % of the contrast": _to_bytes(128 + 0.3 * (faces - 128)),
        "faces, a fifth of them repeated": torch.cat([unseen[: n - n // 5], unseen[: n // 5]]),
        "faces, a fifth of them black": torch.cat([unseen[: n - n // 5], torch.zeros_like(unseen[: n // 5])]),
    }


def _stack(images: list[Image.Image]) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])


def _to_bytes(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)


def _blur(images: Tensor, radius: float) -> Tensor:
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images]
    return _stack([picture.filter(ImageFilter.GaussianBlur(radius)) for picture in pictures])
