"""Score images by running the stage `evaluate` on them, with all outputs in a temporary folder.

So the scores are those that the pipeline would write for the same images.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from omokage.base.errors import UserError
from omokage.base.json_file import read_json
from omokage.config.params_file import check_params
from omokage.config.yaml_file import load_yaml
from omokage.data import shards
from omokage.pipeline.isolated_job import make_isolated_job
from omokage.sampling.sample_sets import save_sample_sets
from omokage.stages import evaluate, reference

FACES, REFERENCE, SCORES = "data/faces", "data/reference", "results/scores.json"
# Scores of copies, which mean something only if the images may copy the faces of the split `train`.
TRAINING_SCORES = ("copied", "copies", "close", "copy_ratio", "searched", "distance_train")


def score_images(images: Tensor, checkout: Path, against: Tensor | None = None, threads: int = 1) -> dict[str, Any]:
    """Return the scores of images, uint8 [n, 3, side, side], as results/scores.json has them.

    The images are compared with the held-out faces of the `checkout`, and each floor is the score of as many training
    faces. With `against`, real images of the same size, uint8 [m, 3, side, side], in random order, the first half of
    these takes the place of the held-out faces and the second half that of the training faces. There is then no search
    for copies, since nobody has trained on one half alone.

    The parameters are those of params.yaml. At most as many images are scored as there are real images for the floor;
    the first ones. Raises UserError if there are too few images, if they have another size, or if the checkout has no
    data yet.
    """
    values = check_params(load_yaml(checkout / "params.yaml")).values()
    if len(images) < 2:
        raise UserError(f"images to score: {len(images)}, expected at least 2 to compute a distance: give more images")
    with TemporaryDirectory() as name:
        folder = Path(name)
        if against is None:
            side, inputs = find_held_out_side(checkout), dict[str, Path]()
        else:
            side, inputs = against.shape[-1], _make_reference(against, checkout, values, threads, folder)
        if images.shape[1:] != (3, side, side):
            raise UserError(f"images of shape {[*images.shape[1:]]}: expected {[3, side, side]} as the real faces")
        inputs |= _write_samples(images, folder)
        job = make_isolated_job(checkout, "evaluate", values, threads, folder, inputs)
        evaluate.run(job)
        scores: dict[str, Any] = read_json(job.output(SCORES))
    if against is None:
        return scores
    return {key: value for key, value in scores.items() if key.removesuffix("_floor") not in TRAINING_SCORES}


def find_held_out_side(checkout: Path) -> int:
    """Return the side length of the checkout's held-out faces in pixels; raise UserError if it has no data yet."""
    if absent := [path for path in (FACES, REFERENCE) if not (checkout / path).exists()]:
        raise UserError(
            f"{' and '.join(absent)}: not in this checkout: run `dvc pull` or `dvc repro reference`, or compare with "
            "another folder of images by --against"
        )
    return next(shards.iterate_shards(checkout / FACES, "held_out")).shape[-1]


def _make_reference(
    real: Tensor, checkout: Path, values: Mapping[str, Any], threads: int, folder: Path
) -> dict[str, Path]:
    """Run the stage `reference` on the two halves of `real` images; return the inputs of `evaluate` by path.

    Raises UserError for fewer than four images.
    """
    if len(real) < 4:
        raise UserError(
            f"images to compare with: {len(real)}, expected at least 4, since half of them are for the floor: give "
            "more images"
        )
    half = -(-len(real) // 2)
    for split, faces in (("held_out", real[:half]), ("train", real[half:])):
        shards.write_faces(folder / FACES, split, faces)
    inputs = {FACES: folder / FACES}
    job = make_isolated_job(checkout, "reference", values, threads, folder, inputs)
    reference.run(job)
    return {**inputs, REFERENCE: job.output(REFERENCE)}


def _write_samples(images: Tensor, folder: Path) -> dict[str, Path]:
    """Write the images as samples, next to empty sample sets; return the inputs of `evaluate` by path."""
    paths = {f"results/{name}.safetensors": folder / f"{name}.safetensors" for name in ("samples", *evaluate.COLUMNS)}
    samples, *sets = paths.values()
    save_file({"samples": images.contiguous()}, samples)
    for path in sets:
        save_sample_sets(path, [], torch.empty(0, 0, *images.shape[1:], dtype=torch.uint8))
    return paths
