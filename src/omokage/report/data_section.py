"""Write the section on the data: source and licence, preprocessing, dropped faces, and the split."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omokage.report.content import Block, BulletList, Link
from omokage.report.run import Run
from omokage.report.settings import Row, merge_params, tabulate_settings
from omokage.report.tables import tabulate_dropped
from omokage.report.wording import format_count, format_number, format_percent, format_ratio, join_words
from omokage.stamps.records import Record, find_record

HEADING = "Data"
SOURCES = {
    "avatars": "It consists of drawn faces with random features, which DiceBear rendered on this machine in the stage "
    "download; nothing was downloaded.",
    "folder": "It consists of the user's own images.",
    "kaggle": "It was downloaded from Kaggle.",
}
CHOSEN_ON_AVATARS = (
    " Many defaults of the project were chosen by scores on held-out avatars, so the scores of avatars can be too good."
)
COPIES = {
    "lenient": "the same drawing, also with small changes",
    "strict": "no visible difference",
    "identical": "equal pixels",
}
SEARCHED = {
    "auto": (
        "in all images but small, nearly square ones",
        "nearly square images of at most 256 pixels (512 if nearly all images are face crops) are used whole",
    ),
    "detect": ("in all images", "all faces are then cropped in the same way"),
}


def describe_data(run: Run, records: Sequence[Record], manifest: Mapping[str, Any]) -> tuple[str, list[Block]]:
    """Return heading and blocks of the section on the data. `manifest` is the content of data/manifest.json."""
    params, facts = merge_params(records), find_record(records, "train")["facts"]
    dropped = tabulate_dropped(run)
    return HEADING, [
        _describe_source(run.faces, manifest),
        *_list_licences(manifest["licences"]),
        tabulate_settings("Preprocessing", _list_steps(params, run.faces, facts, manifest["source"])),
        _describe_split(run.faces, params["held_out"]),
        *([dropped] if dropped.rows else ["No face was dropped."]),
    ]


def _describe_source(faces: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    version = f", version {manifest['version']}" if manifest["version"] else ""
    text = (
        f"Data set: {manifest['name']}{version}. {SOURCES[manifest['source']]} It has "
        f"{format_count(faces['pictures'], 'image')}"
    )
    if faces["left_out"]:
        text += f" and {format_count(faces['left_out'], 'file')} that could not be used"
    return (
        f"{text}. {format_count(faces['kept'], 'face')} were kept: {faces['train']:,} in the training set and "
        f"{faces['held_out']:,} in the held-out set, which no training step uses."
        f"{CHOSEN_ON_AVATARS if manifest['source'] == 'avatars' else ''}"
    )


def _list_licences(licences: Sequence[Mapping[str, str]]) -> list[Block]:
    if not licences:
        return ["The licence of these images is unknown. Check what you may do with them before sharing any."]
    return [
        BulletList(
            [
                (
                    Link(licence["title"], licence["url"]),
                    f" by {licence['author']}, ",
                    Link(licence["licence"], licence["licence_url"]),
                )
                for licence in licences
            ]
        )
    ]


def _list_steps(
    params: Mapping[str, Any], faces: Mapping[str, Any], facts: Mapping[str, Any], source: str
) -> Iterator[Row]:
    """Yield the steps of the preprocessing, in their order."""
    side = params["image_size"]
    yield from _list_crops(params, faces, source)
    enlarged = f"; a crop of {params['min_side']} pixels is enlarged {format_ratio(side / params['min_side'])}"
    yield (
        "minimum side of a crop",
        f"{params['min_side']} pixels",
        f"smaller crops are dropped{enlarged if params['min_side'] < side else ''}",
    )
    yield "size", f"{side} × {side} pixels", "Lanczos filter, scaled so that a reduced image has no aliasing"
    policy = params["copies"]
    if policy == "auto":
        policy = "strict" if source == "avatars" else "lenient"
    yield "copies", COPIES[policy], "all but one of each group of copies are dropped"
    if params["near_duplicates"]:
        limit = f"colour difference of up to {format_number(params['near_duplicates'])} of 255"
        yield "near-duplicates", limit, "all but one are dropped, so that no face counts several times"
    quality = [("sharpness", "blurred"), ("contrast", "uniform"), ("colour", "colourless")]
    limits = [
        f"{name} of at least {format_number(params[f'min_{name}'])}" for name, _ in quality if params[f"min_{name}"]
    ]
    kinds = [kind for name, kind in quality if params[f"min_{name}"]]
    if limits:
        yield "quality", join_words(limits), f"{join_words(kinds)} faces are dropped"
    means = join_words([f"{mean:.3f}" for mean in facts["mean"]])
    yield (
        "normalisation",
        f"(x − mean) / std with means {means} (red, green, blue) and std {facts['std']:.3f}, for x from 0 to 1",
        "the training set then has mean 0 and variance 1 (whitened images), like the noise that is added to it",
    )
    if params["flip"]:
        yield "augmentation", "mirrored at random", "each face has two views"
    else:
        yield "augmentation", "none", "mirroring suits only faces that look left as often as right"
    yield "noise", "added while training", "each face gets new noise, of another level, in every epoch"


def _list_crops(params: Mapping[str, Any], faces: Mapping[str, Any], source: str) -> Iterator[Row]:
    whole, detected = faces["whole"], faces["detected"]
    if params["crop"] == "whole":
        yield "face detection", "none: the central square of each image", "every image is taken as one face"
        return
    if params["crop"] == "auto" and not detected and "no face found" not in faces["dropped"]:
        sizes = f"of {params['avatar_size']} pixels" if source == "avatars" else "and small"
        yield "face detection", f"not run: {format_count(whole, 'image')} used whole", f"all images are square {sizes}"
        return
    counts = f"{format_count(detected, 'face')} cropped from larger images, {format_count(whole, 'image')} used whole"
    searched, reason = SEARCHED[params["crop"]]
    yield "face detection", f"{searched}: {counts}", reason
    if detected:
        yield (
            "crop",
            f"square with a margin of {format_percent(params['crop_margin'])} on each side of the face",
            "moved up by a tenth of the face, since hair extends above it",
        )
        yield (
            "faces per image",
            f"at most {params['faces_per_picture']}, with a likelihood of at least {params['crop_likelihood']:g}",
            "less likely detections are often no faces",
        )


def _describe_split(faces: Mapping[str, Any], held_out: float) -> str:
    share = faces["held_out"] / (faces["train"] + faces["held_out"])
    return (
        f"The split follows the hash of each image file: {format_percent(held_out)} of the images are meant to be held "
        f"out, and {format_percent(share)} of the faces are. So it does not depend on names or order, and adding "
        "images never moves a held-out face to the training set. Images in which the search finds copies of the same "
        "face are always in the same set. A copy that it misses can be in the other."
    )
