"""Count the work of a stage: how often it calls a network or reads an image, and how many pixels it processes.

The time of a stage is predicted from these numbers (pipeline.durations). Parameters that change the time in other ways,
such as the size of the network, are the stage's `setting`: only runs with the same setting are compared.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from omokage.params.sample import parse_study_entry
from omokage.params.train import HALF_SIZE_BATCH, NO_MODEL

NETWORK = ("model_channels", "channel_mult", "num_res_blocks", "patch_size", "precision")
SETTINGS = {
    "download": ("source", "avatar_styles"),
    "detect": ("source", "crop"),
    "faces": ("source",),
    "extractor_weights": ("extractor",),
    "reference": ("extractor",),
    "train": (*NETWORK, "optimiser"),
    "sample": NETWORK,
    "transform": NETWORK,
    "evaluate": ("extractor", "kid_subsets", "kid_subset_size", "bootstrap"),
    "figures": ("figure_dpi", "grid_side", "image_size"),
}
SNAPSHOTS = 6  # snapshots of the EMA that a training saves
BATCH = 32  # samples that the stage `sample` generates at once
COUNTERPART = 10  # samples of the stage `sample` from another sampler
PAIRS = 3  # interpolations of the stage `transform`
INVERSION = 6  # network evaluations of each step of DDIM inversion
HALF_SIZE = 0.44  # work of a training image at half the size (measured: 3.8 ms, and 8.6 ms at the whole size)
FORWARD = 1 / 3  # work of a forward pass, in training steps, which also compute gradients
PROBES, LEVELS, PROBE_FACES = 6, 12, 96  # measurements of the errors during training, their noise levels and faces

# The stage `evaluate`, with one CPU thread: looking for a face takes 4 ms, a pixel of an aligned image 0.15 us, and
# comparing an image with a face 0.3 us (measured); the features of an image take about 30 ms (from 17.5 ms with two).
FACE_SEARCH = 1 / 5  # work of looking for a face, in features
CANDIDATES = 8  # faces of each split that the search for copies aligns with an image
ALIGNED, COMPARED = 1 / 4, 1 / 2  # work of an aligned pixel, and of a comparison with a face, in pixels


@dataclass(frozen=True)
class Workload:
    """The work of a stage.

    `calls` is the number of calls of a network, or of images that are read. `pixels` is the number of pixels of all
    images in these calls. `setting` has the parameters that change the time in other ways.
    """

    calls: float
    pixels: float
    setting: dict[str, Any]


def count_work(stage: str, p: Mapping[str, Any], images: int | None) -> Workload | None:
    """Return the work of a stage with the parameters `p` of all stages, or None if it cannot be known before.

    `images` is the number of images in the data set, or None if it is unknown.
    """
    counted = COUNTERS[stage](p, images) if stage in COUNTERS else (1.0, 0.0)
    setting = {key: p[key] for key in SETTINGS.get(stage, ())}
    if stage in ("train", "sample", "transform"):
        # The resolutions of attention as levels of the UNet, which stay the same if the size of the images changes.
        setting["attention"] = [
            p["image_size"] / p["patch_size"] / resolution for resolution in p["attention_resolutions"]
        ]
    return Workload(*counted, setting) if counted else None


Counted = tuple[float, float] | None


def _count_download(p: Mapping[str, Any], images: int | None) -> Counted:
    return (p["avatar_count"], p["avatar_count"] * p["avatar_size"] ** 2) if p["source"] == "avatars" else None


def _count_detect(p: Mapping[str, Any], images: int | None) -> Counted:
    return None if images is None else (images, images * p["avatar_size"] ** 2 if p["source"] == "avatars" else 0)


def _count_faces(p: Mapping[str, Any], images: int | None) -> Counted:
    return None if images is None else (images, images * p["image_size"] ** 2)


def _count_split(p: Mapping[str, Any], images: int | None, limit: int) -> tuple[float, float]:
    """Return the number of training and held-out faces, at most `limit` of each."""
    if images is None:
        return limit, limit
    return min(limit, images * (1 - p["held_out"])), min(limit, images * p["held_out"])


def _count_reference(p: Mapping[str, Any], images: int | None) -> Counted:
    return sum(_count_split(p, images, p["reference_faces"])), 0


def _count_train(p: Mapping[str, Any], images: int | None) -> Counted:
    # The errors are measured once more at the end, by noise level, and on equally many faces of both splits.
    probes = min(PROBES, -(-p["steps"] // p["log_every"])) + 1
    half_size = p["half_size_steps"] if p["init_from"] == NO_MODEL else 0
    calls = half_size + p["steps"] + FORWARD * probes * 2 * LEVELS
    trained = (half_size * HALF_SIZE_BATCH * HALF_SIZE + p["steps"]) * p["batch_size"]
    faces = trained + FORWARD * probes * 2 * LEVELS * min(_count_split(p, images, PROBE_FACES))
    return calls, faces * p["image_size"] ** 2


def _count_sample(p: Mapping[str, Any], images: int | None) -> Counted:
    # (samples, network evaluations of each) of every sample set. Autoguidance evaluates a second network.
    guided = 2 if p["guidance_scale"] != 1 else 1
    sets = [(count, p["sample_steps"] * guided) for count in (p["samples"], min(COUNTERPART, p["samples"]))]
    sets += [(p["progress_samples"], p["sample_steps"])] * min(SNAPSHOTS, p["steps"])
    sets += [(p["samples"], parse_study_entry(entry)[2] * guided) for entry in p["sampler_study"]]
    calls = sum(-(-count // BATCH) * evaluations for count, evaluations in sets)
    return calls, calls * BATCH * p["image_size"] ** 2


def _count_transform(p: Mapping[str, Any], images: int | None) -> Counted:
    edits = (sum(p["transform_strengths"]) + INVERSION + 1) * p["transform_steps"]
    between = PAIRS * p["transform_steps"]
    pixels = (edits * p["transform_faces"] + between * p["transform_between"]) * p["image_size"] ** 2
    return edits + between, pixels


def _count_evaluate(p: Mapping[str, Any], images: int | None) -> Counted:
    train, held_out = _count_split(p, images, p["reference_faces"])
    scored = min(p["samples"], train)
    others = min(SNAPSHOTS, p["steps"]) * p["progress_samples"] + len(p["sampler_study"]) * p["samples"]
    searched = scored + min(scored, held_out)
    # The samples and the held-out faces are searched for copies in all faces. Samples are compared with each other, and
    # as many real faces as well.
    faces = train + held_out if images is None else images
    aligned = (scored + held_out) * 2 * CANDIDATES * p["image_size"] ** 2
    compared = (scored + held_out) * faces + 2 * scored**2
    return scored + others + FACE_SEARCH * searched, ALIGNED * aligned + COMPARED * compared


COUNTERS: dict[str, Callable[[Mapping[str, Any], int | None], Counted]] = {
    "download": _count_download,
    "detect": _count_detect,
    "faces": _count_faces,
    "reference": _count_reference,
    "train": _count_train,
    "sample": _count_sample,
    "transform": _count_transform,
    "evaluate": _count_evaluate,
}
