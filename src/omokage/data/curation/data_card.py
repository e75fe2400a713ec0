"""Collect the arrays for the data card, a figure that describes the data set.

The data card shows example images with their crops, kept and dropped faces, image sizes and colours.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.data import text_arrays
from omokage.data.curation import crop_files
from omokage.data.curation.curate import CurationDecision, FaceRecord
from omokage.data.curation.descriptors import FaceDescriptors
from omokage.data.images import zip_reader
from omokage.data.images.decode import UnusableImageError, decode_image
from omokage.data.shards import SPLITS

SIDE = 96  # pixels of an example image
MAX_IMAGES, MAX_FACES = 40, 12

T = TypeVar("T")


def build_data_card(
    archive: Path,
    chunks: Sequence[Path],
    records: Sequence[FaceRecord],
    decisions: Sequence[CurationDecision],
    splits: Sequence[str],
    descriptors: FaceDescriptors,
) -> dict[str, NDArray]:
    """Return the arrays for the data card. The examples are spread evenly over the data set.

    - `pictures`, uint8 [n, 3, SIDE, SIDE]: images searched by the detector, or other images if it searched none
    - `boxes`, int16 [m, 6]: one crop in `pictures` per row, as the index of the image, left, top, right, bottom,
      and 1 if the face was kept, else 0
    - `dropped`, uint8 [k, 3, SIDE, SIDE]: images of dropped faces
    - `kinds`, uint8 [k, 32]: the kind of the decision to drop each of them, encoded by text_arrays
    - `train_faces` and `held_out_faces`, uint8 [k, 3, side, side]: example faces of each split
    - `train_colours` and `held_out_colours`, uint8 [faces, 3]: the mean colour of each face of the split
    - `sizes`, int32 [images]: the shorter side of each image in pixels

    `archive` is the zip of images, and `chunks` are the crop files.
    """
    rows_by_image: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        if record.crop.size:
            rows_by_image.setdefault(record.crop.image, []).append(row)
    searched = [name for name, rows in rows_by_image.items() if records[rows[0]].crop.method != "whole"]
    examples = _spread(searched or list(rows_by_image), MAX_IMAGES)
    images, boxes = _collect_examples(archive, {name: rows_by_image[name] for name in examples}, records, decisions)
    drops: dict[str, list[str]] = {}
    for row in (row for rows in rows_by_image.values() for row in rows if decisions[row].is_dropped):
        drops.setdefault(decisions[row].kind, []).append(records[row].crop.image)
    dropped = [
        (thumbnail, kind)
        for kind, names in choose_examples(drops, MAX_FACES).items()
        for name in names
        if (thumbnail := _make_thumbnail(archive, name)) is not None
    ]
    sizes = [min(records[rows[0]].crop.size or (0,)) for rows in rows_by_image.values()]
    return {
        "pictures": np.array(images, np.uint8).reshape(-1, 3, SIDE, SIDE),
        "boxes": np.array(boxes, np.int16).reshape(-1, 6),
        "dropped": np.array([thumbnail for thumbnail, _ in dropped], np.uint8).reshape(-1, 3, SIDE, SIDE),
        "kinds": text_arrays.encode([kind for _, kind in dropped]),
        "sizes": np.array(sizes, np.int32),
        **_sample_splits(chunks, records, splits, descriptors),
    }


def _collect_examples(
    archive: Path,
    rows_by_image: Mapping[str, Sequence[int]],
    records: Sequence[FaceRecord],
    decisions: Sequence[CurationDecision],
) -> tuple[list[NDArray[np.uint8]], list[list[int]]]:
    """Return the arrays `pictures` and `boxes` of a card: thumbnails of example images, and the crops in them.

    `rows_by_image` maps the name of each image to the indices of its faces in `records`.
    """
    images: list[NDArray[np.uint8]] = []
    boxes = []
    for name, rows in rows_by_image.items():
        if (thumbnail := _make_thumbnail(archive, name)) is None:
            continue
        scale = SIDE / max(records[rows[0]].crop.size or (SIDE,))
        for row in rows:
            if box := records[row].crop.box:
                edges = (round(edge * scale) for edge in box)
                boxes.append([len(images), *edges, int(not decisions[row].is_dropped)])
        images.append(thumbnail)
    return images, boxes


def _sample_splits(
    chunks: Sequence[Path], records: Sequence[FaceRecord], splits: Sequence[str], descriptors: FaceDescriptors
) -> dict[str, NDArray[np.uint8]]:
    """Return example faces of each split, and the mean colour of every face (see `build_data_card`)."""
    colours = descriptors.thumbnails.mean((1, 2)).round().astype(np.uint8)
    # Crop files and descriptors have rows only for faces with pixels.
    split_of_row = np.array([split for record, split in zip(records, splits, strict=True) if record.pixels_sha256])
    arrays = {}
    for name in SPLITS:
        rows = np.nonzero(split_of_row == name)[0]
        is_selected = np.isin(np.arange(len(split_of_row)), _spread(rows.tolist(), MAX_FACES))
        arrays[f"{name}_faces"] = np.stack(list(crop_files.read_pixels(chunks, is_selected.tolist())))
        arrays[f"{name}_colours"] = colours[rows]
    return arrays


def choose_examples(members: Mapping[str, Sequence[str]], max_count: int) -> dict[str, list[str]]:
    """Return at most `max_count` members, by group: one of each group if possible, the rest in proportion to its size.

    A large group cannot displace a small one. The rest is shared by the method of D'Hondt. The members of a group are
    evenly spaced.
    """
    counts = dict.fromkeys(members, 0)
    for _ in range(min(max_count, sum(map(len, members.values())))):
        open_groups = [name for name, count in counts.items() if count < len(members[name])]
        counts[max(open_groups, key=lambda name: (not counts[name], len(members[name]) / (counts[name] + 1)))] += 1
    return {name: _spread(members[name], count) for name, count in counts.items() if count}


def _spread(items: Sequence[T], max_count: int) -> list[T]:
    """Return at most `max_count` of the items, evenly spaced."""
    return [items[round(index)] for index in np.linspace(0, len(items) - 1, min(max_count, len(items)))]


def _make_thumbnail(archive: Path, name: str) -> NDArray[np.uint8] | None:
    """Return the image `name` of the zip as a thumbnail on white, uint8 [3, SIDE, SIDE].

    Return None if the image cannot be decoded.
    """
    try:
        image = decode_image(zip_reader.read_image_file(archive, name))
    except UnusableImageError:
        return None
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    background = Image.new("RGB", (SIDE, SIDE), "white")
    background.paste(image.resize(size, Image.Resampling.LANCZOS))
    return np.asarray(background).transpose(2, 0, 1)
